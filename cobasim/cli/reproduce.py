"""``cobasim reproduce``: the CoBA-RL paper's tables and figures, next to the simulation's."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from cobasim.cli.common import JsonFlag, command_text
from cobasim.cli.options import JobsOption
from cobasim.cli.output import resumable, run_bar, say, say_files, show


def reproduce(
    preset: Annotated[
        str,
        typer.Option(help="quick (a minute) or full (the paper's size, less than ten minutes)."),
    ] = "quick",
    jobs: JobsOption = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="Folder; the same command resumes there.", show_default="runs/reproduce-PRESET"
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """The tables and figures of arXiv 2602.03048 next to the simulation's, as HTML and JSON."""
    from cobasim.experiments import reproduction

    chosen = reproduction.find_preset(preset)
    folder = Path(out or f"runs/reproduce-{preset}")
    began = time.perf_counter()
    total = reproduction.sweep_of(chosen)[0].num_runs
    with resumable(folder), run_bar("simulating", total) as advance:
        content = reproduction.reproduce(
            chosen, folder, command=command_text(), jobs=jobs, on_finished=advance
        )
    if as_json:
        print(json.dumps(content))
        return
    show(_summary_table(content["summary"]))
    say(*content["headline"], content["table-4"]["words"])
    seconds = time.perf_counter() - began
    say(f"\n{content['runs']} runs, {seconds:.1f} s since the start of this command", wrap=False)
    say_files({"report": folder / reproduction.REPORT, "numbers": folder / reproduction.NUMBERS})


def _summary_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        title="Claims of the paper that agree / disagree / are not significant, and Kendall's tau",
        box=box.SIMPLE_HEAD,
    )
    by_result: dict[str, list[str]] = {}
    for row in rows:
        tau = "" if row["tau"] is None else f"  {row['tau']:+.2f}"
        counts = f"{row['agrees']} / {row['disagrees']} / {row['inside the noise']}{tau}"
        by_result.setdefault(row["title"].partition(":")[0], []).append(counts)
    combinations = dict.fromkeys((row["world"], row["weighting"]) for row in rows)
    table.add_column("")
    for world, weighting in combinations:
        table.add_column(f"{world}\nper {weighting}", justify="right")
    for name, cells in by_result.items():
        table.add_row(name, *cells)
    return table
