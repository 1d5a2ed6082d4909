"""``cobasim compare``: allocators in the synthetic world, the main job."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cobasim.cli.common import JsonFlag, command_text, progress_bar
from cobasim.cli.comparison_tables import comparison_tables
from cobasim.cli.options import ComparedOptions, JobsOption, RunOptions
from cobasim.cli.output import dated_folder, resumable, say, say_files, show
from cobasim.cli.reading import ReadingOptions, tell

if TYPE_CHECKING:
    from cobasim.records import Run
    from cobasim.runs import CompareConfig


def compare(
    compared: ComparedOptions,
    run: RunOptions,
    reading: ReadingOptions,
    preset: Annotated[
        str,
        typer.Option(
            help="quick (about a minute), paper (500 steps, 16 seeds, with oracles), or peers "
            "(published methods)."
        ),
    ] = "quick",
    jobs: JobsOption = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="Folder for runs and report; the same command resumes there.",
            show_default="runs/compare-TIME",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare allocators in the synthetic world, paired by seed, at equal rollouts; resumable."""
    from cobasim import runs
    from cobasim.settings import validated

    began = time.perf_counter()
    pool = compared.pool(reading)
    settings = run.plain()
    values = runs.settle(
        preset, settings, **compared.chosen(reading, pool, settings), **run.chosen()
    )
    config = runs.with_pool(validated(runs.CompareConfig, values))
    folder, to_resume = dated_folder(out, "compare")
    runs.claim_comparison(config, folder)
    tell(pool)
    with resumable(folder, to_resume):
        finished = _run_all(config, folder, jobs)
        result = runs.score(config, finished)
        report, numbers = runs.store_comparison(result, folder, command=command_text())
    if as_json:
        print(json.dumps(result.to_json()))
        return
    show(*comparison_tables(result.rows))
    say(*result.statements)
    steps_done = sum(each.steps[-1].step for each in finished)
    seconds = time.perf_counter() - began
    say(f"\n{len(finished)} runs, {steps_done:,} steps in {seconds:.1f} s", wrap=False)
    where = f"{folder}/<weighting>/<allocator>/<seed>"
    say_files({"report": report, "numbers": numbers, "runs": where})


def _run_all(config: CompareConfig, folder: Path, jobs: int | None) -> list[Run]:
    """All runs, with a bar."""
    from cobasim.runs import run_all

    with progress_bar() as progress:
        bar = progress.add_task(
            f"{config.world.world} world, {config.loop.steps} steps a run", total=config.num_runs
        )
        return run_all(config, folder, jobs=jobs, on_finished=lambda: progress.advance(bar))
