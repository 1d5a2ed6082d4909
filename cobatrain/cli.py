"""The ``cobatrain`` command: a language model trained with its own budget for every prompt.

    cobatrain prepare CONFIG     make the tiny model of a config
    cobatrain train CONFIG       train; the tiny model is made first where it is missing
    cobatrain resume DIR         go on from the newest checkpoint
    cobatrain evaluate CONFIG    held-out accuracy of a model, or of a run (give its folder)
    cobatrain measure CONFIG     its pass rates on all training prompts, beside a run's estimates
    cobatrain compare CONFIG     allocators x weightings x seeds, resumable, with table and report
    cobatrain benchmark CONFIG   what a step costs beside generation and the model itself

Bad input gives one line on standard error and exit code 2. CONFIG is a YAML file, or the name of
one that ships: tiny, qwen3-1.7b, qwen2.5-7b.
"""

from __future__ import annotations

import os

# before torch is imported: threads that spin while they wait starve a second process
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import json
import shlex
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cobasim.cli import JsonFlag, progress_bar, run_app
from cobasim.errors import InputError
from cobasim.records import HEADER_FILE, StepRecord

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig

app = typer.Typer(
    name="cobatrain",
    help="Train a language model with its own rollout budget for every prompt.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[str, typer.Argument(help="A YAML file, or tiny, qwen3-1.7b, qwen2.5-7b.")]
ConfigOrRun = Annotated[
    str, typer.Argument(help="A config as for train, or a run's folder: its config and checkpoint.")
]
RunOption = Annotated[
    str | None, typer.Option(help="A run's folder: take its newest checkpoint, but CONFIG's rest.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="a.b=value: any setting of the config. May be repeated."),
]
PHASES = ("generate", "reward", "train", "sync")


def main() -> None:
    """Entry point: every expected failure is one line and an exit code that is not 0."""
    run_app(app, expected=_expected)


def _expected() -> tuple[type[Exception], ...]:
    """Failures of a run that are told in one line; their classes need torch."""
    from cobatrain.comparison import RunFailed
    from cobatrain.engines import EngineError
    from cobatrain.learner import SyncError
    from cobatrain.parallel.checkpoint import CheckpointError
    from cobatrain.tasks import RewardError
    from cobatrain.update.update import NonFiniteError

    failures = (EngineError, SyncError, RewardError, NonFiniteError, FloatingPointError)
    return *failures, CheckpointError, RunFailed


@app.command()
def prepare(config: Config, settings: Settings = None) -> None:
    """Make the tiny model of a config: build it, and warm it up on supervised examples."""
    from cobatrain import trainer
    from cobatrain.config import load_config

    _one_process("prepare")
    trainer.prepare(load_config(config, settings or []), say=print)


@app.command()
def train(
    config: Config,
    allocator: Annotated[
        str | None, typer.Option(help="A name of `cobasim allocators`, or module:Class.")
    ] = None,
    weighting: Annotated[
        str | None, typer.Option(help="Weight in the loss: rollout, token or prompt.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Fixes everything.")] = None,
    settings: Settings = None,
    out: Annotated[str | None, typer.Option(help="New folder of the run; runs/train-TIME.")] = None,
) -> None:
    """Train; Ctrl-C finishes the step, saves and stops."""
    from cobatrain.config import load_config

    chosen = load_config(
        config, settings or [], allocator=allocator, weighting=weighting, seed=seed
    )
    folder = Path(out or f"runs/train-{datetime.now():%Y%m%d-%H%M%S}")
    _run(chosen, folder, resume=False)


@app.command()
def resume(run: Annotated[str, typer.Argument(help="Folder of a run.")]) -> None:
    """Go on from the newest whole checkpoint; the run then equals an uninterrupted one."""
    from cobatrain.config import stored_config

    folder = Path(run)
    _run(stored_config(folder), folder, resume=True)


@app.command()
def evaluate(
    config: ConfigOrRun,
    run: RunOption = None,
    settings: Settings = None,
    as_json: JsonFlag = False,
) -> None:
    """Held-out avg@k and pass@k with intervals, by data set and level."""
    from cobatrain import trainer
    from cobatrain.config import load_config

    _one_process("evaluate")
    chosen, newest = load_config(config, settings or []), _newest(config, run)
    with trainer.open_learner(chosen, checkpoint=newest) as (learner, _):
        scores = learner.evaluate()
    if as_json:
        print(json.dumps(scores))
    else:
        Console().print(_scores_table(scores))


@app.command()
def measure(
    config: ConfigOrRun,
    run: RunOption = None,
    rollouts: Annotated[int, typer.Option(min=1, help="Fresh rollouts of each prompt.")] = 64,
    out: Annotated[
        str | None, typer.Option(help="CSV file to write, for cobasim's --pass-rates.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Pass rates of all training prompts, measured afresh, beside a run's estimates."""
    from cobatrain import measurement as measuring
    from cobatrain import trainer
    from cobatrain.config import load_config

    _one_process("measure")
    chosen, newest = load_config(config, settings or []), _newest(config, run)
    if out is not None:
        measuring.check_new(Path(out))
    opened = trainer.open_learner(chosen, checkpoint=newest)
    with opened as (learner, state), progress_bar() as bar:
        ticks = bar.add_task("measuring", total=learner.num_prompts)
        found = measuring.measure(
            learner, state, rollouts=rollouts, on_chunk=lambda n: bar.advance(ticks, n)
        )
    table = Table(
        title=f"{found.passes.size} prompts, {rollouts} fresh rollouts each: "
        f"mean pass rate {100 * found.pass_rate.mean():.1f} %"
    )
    for column in ("estimate", "prompts", "rollouts\nbehind it", "mean\nestimate, %"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("measured,\n%", "middle 80 %\nof prompts, %", "mixed groups\nof 8, %"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in found.against_estimates():
        mean = row["mean_estimate"]
        table.add_row(
            row["estimate"], str(row["prompts"]), f"{row['attempts']:.1f}",
            "" if mean is None else f"{100 * mean:.1f}", f"{100 * row['pass_rate']:.1f}",
            f"{100 * row['low']:.0f} to {100 * row['high']:.0f}", f"{100 * row['mixed']:.1f}",
        )  # fmt: skip
    console = Console()
    console.print(table if table.rows else table.title)
    if out is not None:
        measuring.write(found, Path(out))
        console.print(f"pass rates  {out}", highlight=False, soft_wrap=True)


def _one_process(command: str) -> None:
    from cobatrain.parallel.distributed import processes

    if processes() > 1:
        raise InputError(
            f"{command} runs in one process; torchrun starts `train` and `resume` only"
        )


def _newest(config: str, run: str | None) -> Path | None:
    """The newest checkpoint of the run that is named, if one is."""
    from cobatrain.parallel.checkpoint import checkpoints

    folder = run if run is not None else config if (Path(config) / HEADER_FILE).exists() else None
    if folder is None:
        return None
    found = next(reversed(checkpoints(Path(folder))), None)
    if found is None:
        raise InputError(f"{folder} has no checkpoint yet")
    return found


@app.command()
def compare(
    config: Config,
    allocators: Annotated[str, typer.Option(help="Comma-separated.")] = "uniform,knapsack,coba",
    weightings: Annotated[str, typer.Option(help="Comma-separated.")] = "rollout,prompt",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 4,
    settings: Settings = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, one thread each.")] = 1,
    out: Annotated[str, typer.Option(help="Folder; the same command goes on in it.")] = (
        "runs/train-compare"
    ),
) -> None:
    """Compare allocators for real, at equal rollouts, paired by seed; resumable."""
    from cobasim.cli import comparison_tables
    from cobatrain import comparison, trainer
    from cobatrain.config import load_config

    _one_process("compare")
    base = load_config(config, settings or [])
    plan = comparison.Plan(
        config=base,
        allocators=tuple(name.strip() for name in allocators.split(",") if name.strip()),
        weightings=tuple(name.strip() for name in weightings.split(",") if name.strip()),
        seeds=tuple(range(base.seed, base.seed + seeds)),
    )
    for weighting, name, _ in plan.runs():  # refused now rather than in the middle
        load_config(config, settings or [], allocator=name, weighting=weighting)
    folder = Path(out)
    comparison.claim(plan, folder)
    if base.model.tiny is not None and not Path(base.model.path).exists():
        trainer.prepare(base, say=print)
    with progress_bar() as progress:
        bar = progress.add_task(f"{base.loop.steps} steps a run", total=len(list(plan.runs())))
        comparison.run_all(plan, folder, jobs=jobs, on_finished=lambda: progress.advance(bar))
    command = shlex.join(["cobatrain", *sys.argv[1:]])
    rows, verdicts = comparison.score(plan, folder, command=command)
    console = Console()
    for table in comparison_tables(rows):
        console.print(table)
    for name, text in verdicts.items():
        console.print(f"Loss weighted per {name}: {text}", highlight=False)
    console.print(f"report  {folder / comparison.REPORT}", highlight=False, soft_wrap=True)


@app.command()
def benchmark(
    config: Config = "tiny",
    steps: Annotated[int, typer.Option(min=1, help="Steps to take the medians of.")] = 15,
    settings: Settings = None,
    as_json: JsonFlag = False,
) -> None:
    """What a step costs beside generation and the model's forward and backward."""
    from cobatrain import trainer
    from cobatrain.benchmark import measure
    from cobatrain.config import load_config

    _one_process("benchmark")
    chosen = load_config(config, settings or [])
    if chosen.model.tiny is not None and not Path(chosen.model.path).exists():
        trainer.prepare(chosen, say=lambda text: print(text, file=sys.stderr))
    found = measure(chosen, steps=steps, pairs=steps)
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
        return
    place = "in a process of its own" if found.subprocess else "in the trainer's process"
    table = Table(
        title=f"One step: {found.prompts} prompts, {found.rollouts} rollouts, "
        f"{found.tokens:,.0f} tokens; {found.allocator}; {found.engine} {place}\n"
        f"{found.step_ms:.0f} ms, median of {found.steps} steps"
    )
    for column in ("", "ms", "share", "limit", ""):
        table.add_column(column, justify="right" if column else "left")
    for name, ms, figure, limit, met in found.rows():
        bound = "" if limit is None else f"{limit:g} x" if limit > 1 else f"{100 * limit:g} %"
        verdict = "" if met is None else "met" if met else "MISSED"
        table.add_row(name, "" if ms is None else f"{ms:.2f}", figure, bound, verdict)
    Console().print(table)
    if found.direct_ratio is None:
        print("generate / direct was not measured: engine.subprocess is on")


def _run(config: TrainConfig, folder: Path, *, resume: bool) -> None:
    from cobatrain import trainer
    from cobatrain.parallel.distributed import PeerError
    from cobatrain.tracking import tracking

    console = Console(stderr=True)
    began, done = time.perf_counter(), [0]
    records: list[StepRecord] = []

    def show(record: StepRecord) -> None:
        records.append(record)
        accuracy = (record.evaluation or {}).get("heldout")
        parts = [f"step {record.step}/{config.loop.steps}"]
        if record.step > 0:
            done[0] += 1
            seconds = record.learner
            parts.append(f"reward {seconds.get('reward', float('nan')):.3f}")
            parts.append(f"mixed {record.mixed_share or 0:.2f}")
            phases = [f"{p} {seconds.get(f'seconds_{p}', 0.0):.2f}" for p in PHASES]
            parts.append(f"[{', '.join(phases)} s]")
            each = (time.perf_counter() - began) / done[0]
            parts.append(f"left {each * max(config.loop.steps - record.step, 0):.0f}s")
        if accuracy is not None:
            parts.append(f"held-out {100 * accuracy:.1f} %")
        console.print("  ".join(parts), highlight=False, markup=False, soft_wrap=True)

    try:
        with tracking(config.track, folder) as track:

            def keep(record: StepRecord) -> None:
                show(record)
                track(record)

            trainer.train(config, folder, resume=resume, on_step=keep, say=print)
    except PeerError:  # said by the rank that failed
        raise typer.Exit(1) from None
    finally:
        if records:
            _summary(config, folder, records, time.perf_counter() - began)


def _summary(config: TrainConfig, folder: Path, records: list[StepRecord], seconds: float) -> None:
    evaluated = [record for record in records if record.evaluation]
    table = Table(title=f"{config.allocator}, loss weighted per {config.weighting}")
    for column in ("step", "rollouts", "held-out accuracy, %", "mixed groups, %", "alpha"):
        table.add_column(column, justify="right")
    for record in evaluated:
        assert record.evaluation is not None
        mixed = record.mixed_share
        table.add_row(
            str(record.step),
            f"{record.rollouts:,}",
            f"{100 * record.evaluation['heldout']:.1f}",
            "-" if mixed is None else f"{100 * mixed:.0f}",
            "-" if record.alpha is None else f"{record.alpha:.2f}",
        )
    console = Console()
    console.print(table)
    console.print(f"{seconds:.0f} s; run in {folder}", highlight=False, soft_wrap=True)


def _scores_table(scores: dict[str, Any]) -> Table:
    table = Table(title=f"Held-out accuracy {100 * scores['heldout']:.1f} % (mean of the sets)")
    for column in ("data set", "level", "avg@k, %", "95 % interval", "pass@k, %"):
        table.add_column(column, justify="left" if column in ("data set", "level") else "right")
    for name, found in scores["sets"].items():
        low, high = found["low"], found["high"]
        interval = "-" if low is None else f"{100 * low:.1f} to {100 * high:.1f}"
        best = str(found["samples"])
        table.add_row(
            name, "all", f"{100 * found['accuracy']:.1f}", interval,
            f"{100 * found['pass_at'][best]:.1f}",
        )  # fmt: skip
        for level, accuracy in found["levels"].items():
            table.add_row("", level, f"{100 * accuracy:.1f}", "", "")
    return table
