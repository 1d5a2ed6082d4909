"""What the commands share: arguments, options, checks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cobasim.errors import InputError
from cobasim.records import HEADER_FILE

if TYPE_CHECKING:
    from cobatrain.comparison import Plan
    from cobatrain.config import EvaluationConfig
    from cobatrain.tasks import Task

Config = Annotated[
    str, typer.Argument(help="A YAML file, or tiny, tiny-compare, smollm2, qwen3-1.7b, qwen2.5-7b.")
]
ConfigOrRun = Annotated[
    str, typer.Argument(help="A config as for train, or a run's folder: its config and checkpoint.")
]
RunOption = Annotated[
    str | None,
    typer.Option(
        help="A run's folder: use its newest checkpoint, and CONFIG for the rest.",
        show_default="the model of CONFIG",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="a.b=value: any setting of the config. May be repeated.",
        show_default="none",
    ),
]


@dataclass(frozen=True)
class ComparedOptions:
    """What is compared, for real or as a prediction; seeds have defaults of their own."""

    allocators: Annotated[str, typer.Option(help="Comma-separated.")] = "uniform,knapsack,coba"
    weightings: Annotated[str, typer.Option(help="Comma-separated.")] = "rollout,prompt"
    settings: Settings = None

    def plan(self, config: str, seeds: int) -> Plan:
        """The comparison, with so many seeds from the config's own on.

        Raises InputError for a bad config or setting, and for empty lists and repeated names.
        """
        from cobatrain.comparison import Plan
        from cobatrain.config import load_config

        base = load_config(config, self.settings or [])
        return Plan(
            config=base,
            allocators=names(self.allocators),
            weightings=names(self.weightings),
            seeds=tuple(range(base.seed, base.seed + seeds)),
        )


def names(text: str) -> tuple[str, ...]:
    """Names, comma-separated."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def one_process(command: str) -> None:
    """Raise InputError if torchrun started a command that is for one process."""
    from cobatrain.parallel import processes

    if processes() > 1:
        raise InputError(
            f"{command} runs in one process; torchrun starts `train`, `resume`, `evaluate` and "
            "`gradients` only"
        )


def tell(line: str) -> None:
    """Print a line that is no result: on standard error."""
    print(line, file=sys.stderr)


def show_data(task: Task, evaluation: EvaluationConfig | None = None) -> None:
    """Print what was read of each data set on standard error, and which are smaller than wanted."""
    from cobatrain.trainer import account_lines, smaller_sets

    for line in [*account_lines(task), *smaller_sets(task, evaluation)]:
        tell(line)


def checkpoint_of(config: str, run: str | None, step: int | None = None) -> Path | None:
    """The newest checkpoint of the run that is named by ``run`` or ``config``, or that of ``step``.

    None: no run is named. Raises InputError for a run without that checkpoint.
    """
    from cobatrain.parallel import checkpoints

    folder = run if run is not None else config if (Path(config) / HEADER_FILE).exists() else None
    if folder is None:
        if step is not None:
            raise InputError(f"--step {step} is a checkpoint's: give a run")
        return None
    found = checkpoints(Path(folder))
    if not found:
        raise InputError(
            f"{folder} has no checkpoint (yet, or any more: checkpoint.keep is 0 for runs that "
            "keep none); train further, or give another run"
        )
    if step is None:
        return found[-1]
    for checkpoint in found:
        if checkpoint.name == f"step-{step:06d}":
            return checkpoint
    kept = ", ".join(str(int(one.name.removeprefix("step-"))) for one in found)
    raise InputError(f"{folder} has no checkpoint of step {step}; it has {kept}")
