"""``cobatrain predict``: what ``compare`` would find, from measured gradients."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from cobasim.cli import (
    JsonFlag,
    command_text,
    comparison_tables,
    dated_folder,
    progress_bar,
    resumable,
    say,
    say_files,
    show,
)
from cobatrain.cli.common import ComparedOptions, Config, one_process, tell


def predict(
    config: Config,
    measured: Annotated[
        str,
        typer.Option(
            help="File of `cobatrain gradients` of this model and task; several, comma-separated, "
            "if it was measured at several steps."
        ),
    ],
    compared: ComparedOptions,
    seeds: Annotated[int, typer.Option(min=1, help="Number of simulated seeds.")] = 16,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes at a time.", show_default="one per processor"),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="Folder for runs and report; the same command resumes there.",
            show_default="runs/predict-TIME",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """What `compare` would find, predicted in seconds by the measured world of the model."""
    from cobasim import runs
    from cobatrain import comparison

    one_process("predict")
    plan = compared.plan(config, seeds)
    simulated = runs.with_pool(comparison.predicted(plan, measured, seeds))
    for line in comparison.remarks(plan.config, measured):
        tell(line)
    folder, to_resume = dated_folder(out, "predict", "cobatrain")
    runs.claim_comparison(simulated, folder)
    with resumable(folder, to_resume), progress_bar() as progress:
        bar = progress.add_task("measured world", total=simulated.num_runs)
        finished = runs.run_all(
            simulated, folder, jobs=jobs, on_finished=lambda: progress.advance(bar)
        )
    result = runs.score(simulated, finished)
    report, _ = runs.store_comparison(result, folder, command=command_text("cobatrain"))
    if as_json:
        print(json.dumps(result.to_json()))
        return
    show(*comparison_tables(result.rows))
    say(*result.statements)
    say_files({"report": report})
