"""``cobasim calibrate``: worlds fitted to real runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cobasim.cli.common import command_text, interruptible, progress_bar
from cobasim.cli.options import JobsOption, PassRatesOption, SeedsOption
from cobasim.cli.output import narrow_table, say, say_files, show
from cobasim.cli.reading import ReadingOptions, tell

if TYPE_CHECKING:
    from cobasim.experiments.calibration import Model


@dataclass(frozen=True)
class FitOptions:
    """Which worlds are fitted, and how settings are searched."""

    pass_rates: PassRatesOption = None
    world: Annotated[
        str,
        typer.Option(help="What is fitted: logistic, skill-chain, both, or measured:FILE."),
    ] = "logistic"
    model: Annotated[
        list[str] | None,
        typer.Option(help="Which models are fitted. May be repeated.", show_default="all"),
    ] = None
    samples: Annotated[int, typer.Option(min=2, help="Settings tried for each model.")] = 128
    refine: Annotated[int, typer.Option(min=0, help="Steps of refinement after that.")] = 60
    seeds: SeedsOption = 4

    @property
    def worlds(self) -> list[str]:
        """Names of the worlds."""
        return ["logistic", "skill-chain"] if self.world == "both" else [self.world]


def calibrate(
    runs: Annotated[
        list[str], typer.Argument(help="Folders of real runs, or archives of them (.jsonl.gz).")
    ],
    fit: FitOptions,
    reading: ReadingOptions,
    jobs: JobsOption = None,
    out: Annotated[str, typer.Option(help="Folder of the report.")] = "runs/calibration",
) -> None:
    """Fit the worlds to real runs with uniform budgets; predict the unseen adaptive runs."""
    from cobasim.experiments import calibration
    from cobasim.records import read_runs
    from cobasim.runs import measured_pool

    rates = reading.options()
    pool = measured_pool(fit.pass_rates, rates)
    real = calibration.RealRuns.of(read_runs([Path(run) for run in runs]))
    how = calibration.Search(samples=fit.samples, refine=fit.refine, seed=reading.seed)
    models = []
    tell(pool)
    with interruptible("nothing was written"), progress_bar("settings") as progress:
        for world in fit.worlds:
            for name in fit.model or calibration.models_of(world):
                fitted = calibration.FittedWorld(
                    world, name, pass_rates=fit.pass_rates, reading=rates
                )
                bar = progress.add_task(f"{world}, {name}", total=fit.samples + fit.refine)
                advance: Callable[[int], None] = partial(progress.advance, bar)
                problem = calibration.Problem(real, fitted, fit.seeds)
                models.append(calibration.calibrate(problem, how, jobs=jobs, on_progress=advance))
    report, numbers = calibration.store(
        models, real, Path(out), command=command_text(), pass_rates=fit.pass_rates, reading=rates
    )
    for model in models:
        show(_table(model, calibration.title(model)))
        say(calibration.sentence(model), wrap=False)
    say_files({"report": report, "numbers": numbers})


def _table(model: Model, title: str) -> Table:
    table = narrow_table(f"{title}: points minus uniform, gradient norm over uniform's")
    for column in ("allocator", "real", "predicted", "plausible", "norm", "predicted"):
        justify: Any = "left" if column == "allocator" else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    for row in model.predictions:
        half = "" if row.real_half is None else f" ± {row.real_half:.2f}"
        table.add_row(
            f"{row.allocator} per {row.weighting}",
            f"{row.real:+.2f}{half}",
            f"{row.predicted:+.2f}",
            f"{row.low:+.2f} to {row.high:+.2f}",
            "-" if row.norm_real is None else f"{row.norm_real:.2f}",
            f"{row.norm_predicted:.2f}",
        )
    return table
