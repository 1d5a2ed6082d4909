"""``cobatrain train`` and ``cobatrain resume``."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cobasim.cli import say, show
from cobasim.errors import InputError
from cobasim.records import StepRecord
from cobatrain.cli.common import Config, Settings, tell

if TYPE_CHECKING:
    from cobatrain.config import Change, TrainConfig

CONFIG = "the config's"
PHASES = ("generate", "reward", "train", "sync")
ERROR = "estimate_error"  # of an evaluation that knows true pass rates of the pool


def train(
    config: Config,
    allocator: Annotated[
        str | None,
        typer.Option(help="A name of `cobasim allocators`, or module:Class.", show_default=CONFIG),
    ] = None,
    weighting: Annotated[
        str | None,
        typer.Option(
            help="What counts equally in the loss: rollout, token or prompt.", show_default=CONFIG
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the run; it fixes prompts and outcomes.", show_default=CONFIG),
    ] = None,
    settings: Settings = None,
    out: Annotated[
        str | None, typer.Option(help="New folder of the run.", show_default="runs/train-TIME")
    ] = None,
) -> None:
    """Train; Ctrl-C finishes the step, saves and stops."""
    from cobatrain.config import load_config

    chosen = load_config(
        config, settings or [], allocator=allocator, weighting=weighting, seed=seed
    )
    folder = Path(out or f"runs/train-{datetime.now():%Y%m%d-%H%M%S}")
    _run(chosen, folder, resume=False)


def resume(
    run: Annotated[str, typer.Argument(help="Folder of a run.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="a.b=value from here on: loop.steps, update.learning_rate, track, any of "
            "evaluation or checkpoint. May be repeated.",
            show_default="none",
        ),
    ] = None,
) -> None:
    """Resume from the newest whole checkpoint; the run then equals an uninterrupted one."""
    from cobatrain.config import load_config, stored_config

    folder = Path(run)
    config = stored_config(folder)
    if settings:
        config = load_config(folder, settings)
    _run(config, folder, resume=True)


def _run(config: TrainConfig, folder: Path, *, resume: bool) -> None:
    from cobatrain import trainer
    from cobatrain.parallel import PeerError
    from cobatrain.tracking import tracking

    progress = _Progress(config)
    try:
        with tracking(config.track, folder) as track:

            def keep(record: StepRecord) -> None:
                progress.show(record)
                track(record)

            trainer.train(config, folder, resume=resume, on_step=keep, say=tell)
    except PeerError:  # the rank that failed has said why
        raise typer.Exit(1) from None
    finally:
        progress.summarise(folder)


def _changes(run: Path) -> list[Change]:
    """What changed in a run; none where that cannot be read, which is said elsewhere."""
    from cobatrain.config import stored_changes

    try:
        return stored_changes(run)
    except InputError:
        return []


def _of_evaluation(change: Change) -> str:
    """What a change made of the evaluation, as a note of the table; "": nothing."""
    told = [
        f"{name} {change.before[name]} -> {value}"
        for name, value in change.settings.items()
        if name.startswith("evaluation.")
    ]
    return f"* after step {change.after_step}: {', '.join(told)}" if told else ""


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


class _Progress:
    """One line a step on standard error, and a table at the end."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._console = Console(stderr=True)
        self._began, self._steps = time.perf_counter(), 0
        self._records: list[StepRecord] = []

    def show(self, record: StepRecord) -> None:
        """Print the line of one step."""
        self._records.append(record)
        steps = self._config.loop.steps
        accuracy = (record.evaluation or {}).get("heldout")
        parts = [f"step {record.step}/{steps}"]
        if record.step > 0:
            self._steps += 1
            numbers = record.learner
            parts.append(f"reward {numbers.get('reward', float('nan')):.3f}")
            parts.append(f"mixed {record.mixed_share or 0:.2f}")
            phases = [f"{p} {numbers.get(f'seconds_{p}', 0.0):.2f}" for p in PHASES]
            parts.append(f"[{', '.join(phases)} s]")
            each = (time.perf_counter() - self._began) / self._steps
            parts.append(f"left {each * max(steps - record.step, 0):.0f}s")
        if accuracy is not None:
            parts.append(f"held-out {100 * accuracy:.1f} %")
        self._console.print("  ".join(parts), highlight=False, markup=False, soft_wrap=True)

    def summarise(self, folder: Path) -> None:
        """Print the table of evaluations, if there was a step."""
        if not self._records:
            return
        config = self._config
        changes = [one for one in _changes(folder) if _of_evaluation(one)]
        table = Table(
            title=f"{config.allocator}, loss weighted per {config.weighting}",
            caption="\n".join(_of_evaluation(one) for one in changes),
            caption_justify="left",
        )
        told = any(ERROR in (record.evaluation or {}) for record in self._records)
        columns = ("step", "rollouts", "held-out accuracy, %", "mixed groups, %", "alpha")
        for column in (*columns, *(["estimates off, points"] if told else [])):
            table.add_column(column, justify="right")
        for record in self._records:
            if not record.evaluation:
                continue
            mixed = record.mixed_share
            table.add_row(
                str(record.step),
                f"{record.rollouts:,}",
                f"{100 * record.evaluation['heldout']:.1f}"
                + "*" * any(record.step > one.after_step for one in changes),
                "-" if mixed is None else f"{100 * mixed:.0f}",
                "-" if record.alpha is None else f"{record.alpha:.2f}",
                *([_points(record.evaluation.get(ERROR))] if told else []),
            )
        seconds = time.perf_counter() - self._began
        show(table)
        say(f"{seconds:.0f} s; run in {folder}", wrap=False)
