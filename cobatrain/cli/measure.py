"""``cobatrain measure``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cobasim.cli import progress_bar
from cobatrain.cli.common import (
    ConfigOrRun,
    RunOption,
    Settings,
    checkpoint_of,
    one_process,
    show_data,
)

if TYPE_CHECKING:
    from cobatrain.measurement import Measured


def measure(
    config: ConfigOrRun,
    run: RunOption = None,
    rollouts: Annotated[int, typer.Option(min=1, help="Fresh rollouts of each prompt.")] = 64,
    out: Annotated[
        str | None, typer.Option(help="CSV file to write, for cobasim's --pass-rates.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Pass rates of all training prompts, measured afresh, next to a run's estimates."""
    from cobatrain import measurement, trainer
    from cobatrain.config import load_config

    one_process("measure")
    chosen, checkpoint = load_config(config, settings or []), checkpoint_of(config, run)
    if out is not None:
        measurement.check_new(Path(out))
    opened = trainer.open_learner(chosen, checkpoint=checkpoint)
    with opened as (learner, state), progress_bar() as bar:
        show_data(learner.task)
        ticks = bar.add_task("measuring", total=learner.num_prompts)
        measured = measurement.measure(
            learner, state, rollouts=rollouts, on_chunk=lambda n: bar.advance(ticks, n)
        )
    console, table = Console(), _table(measured)
    console.print(table if table.rows else table.title)
    if out is not None:
        measurement.write(measured, Path(out))
        console.print(f"pass rates  {out}", highlight=False, soft_wrap=True)


def _table(measured: Measured) -> Table:
    table = Table(
        title=f"{measured.passes.size} prompts, {measured.rollouts} fresh rollouts each: "
        f"mean pass rate {100 * measured.pass_rate.mean():.1f} %"
    )
    for column in ("estimate", "prompts", "rollouts\nbehind it", "mean\nestimate, %"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("measured,\n%", "middle 80 %\nof prompts, %", "mixed groups\nof 8, %"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in measured.against_estimates():
        mean = row["mean_estimate"]
        table.add_row(
            row["estimate"],
            str(row["prompts"]),
            f"{row['attempts']:.1f}",
            "" if mean is None else f"{100 * mean:.1f}",
            f"{100 * row['pass_rate']:.1f}",
            f"{100 * row['low']:.0f} to {100 * row['high']:.0f}",
            f"{100 * row['mixed']:.1f}",
        )
    return table
