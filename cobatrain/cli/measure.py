"""``cobatrain measure``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cobasim.cli import narrow_table, progress_bar, say, say_files, show
from cobasim.errors import InputError
from cobatrain.cli.common import (
    ConfigOrRun,
    RunOption,
    Settings,
    checkpoint_of,
    one_process,
    show_data,
)

if TYPE_CHECKING:
    from cobatrain.learner import LanguageModelLearner
    from cobatrain.measurement import Measured


def measure(
    config: ConfigOrRun,
    run: RunOption = None,
    rollouts: Annotated[
        int | None,
        typer.Option(min=1, help="Fresh rollouts of each prompt.", show_default="64"),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="True pass rates from log-probs, without sampling: where one answer passes.",
        ),
    ] = False,
    out: Annotated[
        str | None,
        typer.Option(help="CSV file to write, for cobasim's --pass-rates.", show_default="no file"),
    ] = None,
    settings: Settings = None,
) -> None:
    """Pass rates of all training prompts, sampled afresh or exact, next to a run's estimates."""
    from cobatrain import measurement, trainer
    from cobatrain.config import load_config

    one_process("measure")
    if exact and rollouts is not None:
        raise InputError("--exact samples nothing: leave out --rollouts, or --exact")
    chosen, checkpoint = load_config(config, settings or []), checkpoint_of(config, run)
    if out is not None:
        measurement.check_new(Path(out))
    opened = trainer.open_learner(chosen, checkpoint=checkpoint)
    with opened as (learner, state), progress_bar() as bar:
        show_data(learner.task)
        ticks = bar.add_task("measuring", total=learner.num_prompts)
        measured = measurement.measure(
            learner,
            state,
            rollouts=_rollouts(learner, rollouts, exact),
            on_chunk=lambda n: bar.advance(ticks, n),
        )
    table = _table(measured)
    if table.rows:
        show(table)
    else:
        say(str(table.title))
    if out is not None:
        measurement.write(measured, Path(out))
        say_files({"pass rates": out})


def _rollouts(learner: LanguageModelLearner, rollouts: int | None, exact: bool) -> int | None:
    """Of each prompt; None: exact. Raises InputError for a task that has no exact pass rates."""
    if not exact:
        return rollouts or 64
    try:
        learner.exact_answers(learner.task.train)
    except InputError as error:
        reason = str(error).split(";", maxsplit=1)[0]
        raise InputError(f"--exact: {reason}; leave out --exact to sample") from None
    return None


def _table(measured: Measured) -> Table:
    how = "exact" if measured.rollouts is None else f"{measured.rollouts} fresh rollouts each"
    mean = 100 * measured.pass_rate.mean()
    table = narrow_table(f"{measured.pass_rate.size} prompts, {how}: mean pass rate {mean:.1f} %")
    for column in ("estimate", "prompts", "rollouts\nbehind it", "mean\nestimate,\n%"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("measured,\n%", "middle 80 %\nof prompts,\n%", "mixed\ngroups of\n8, %"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in measured.against_estimates():
        estimate = row["mean_estimate"]
        table.add_row(
            row["estimate"],
            str(row["prompts"]),
            f"{row['attempts']:.1f}",
            "" if estimate is None else f"{100 * estimate:.1f}",
            f"{100 * row['pass_rate']:.1f}",
            f"{100 * row['low']:.0f} to {100 * row['high']:.0f}",
            f"{100 * row['mixed']:.1f}",
        )
    return table
