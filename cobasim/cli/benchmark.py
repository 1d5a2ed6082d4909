"""``cobasim benchmark``: what allocation costs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Literal

import typer
from rich.table import Table

from cobasim.cli.common import JsonFlag
from cobasim.cli.output import say, show


def benchmark(
    size: Annotated[
        Literal["full", "small"], typer.Option(help="small leaves out the million prompts.")
    ] = "full",
    as_json: JsonFlag = False,
) -> None:
    """What allocation and a simulated step cost, and their floors, measured in one run."""
    from cobasim.experiments.benchmark import measure

    result = measure(million=size == "full")
    if as_json:
        print(json.dumps(asdict(result), indent=2))
        return
    table = Table(title="Time of allocation (CoBA value function included), medians")
    for column in ("case", "prompts", "rollouts", "solver", "milliseconds", "against"):
        table.add_column(column, justify="left" if column in ("case", "solver") else "right")
    for row in result.solvers:
        against = "" if row.ratio is None else f"{row.ratio:.1f} x {row.reference}"
        table.add_row(
            row.case,
            f"{row.prompts:,}",
            f"{row.rollouts:,}",
            row.solver,
            f"{row.milliseconds:.3f}",
            against,
        )
    show(table)
    say(*result.sentences())
