"""``cobatrain compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cobasim.cli import (
    command_text,
    comparison_tables,
    progress_bar,
    resumable,
    say,
    say_files,
    show,
)
from cobatrain.cli.common import ComparedOptions, Config, one_process


def compare(
    config: Config,
    compared: ComparedOptions,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 4,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, one thread each.")] = 1,
    out: Annotated[str, typer.Option(help="Folder; the same command resumes there.")] = (
        "runs/train-compare"
    ),
) -> None:
    """Compare allocators for real, at equal rollouts, paired by seed; resumable."""
    from cobatrain import comparison, trainer
    from cobatrain.config import load_config

    one_process("compare")
    plan = compared.plan(config, seeds)
    for run in plan.runs():  # refused now rather than in the middle
        load_config(
            config, compared.settings or [], allocator=run.allocator, weighting=run.weighting
        )
    folder = Path(out)
    comparison.claim(plan, folder)
    trainer.prepare_if_missing(plan.config, say=print)
    with resumable(folder), progress_bar() as progress:
        bar = progress.add_task(
            f"{plan.config.loop.steps} steps a run", total=len(list(plan.runs()))
        )
        comparison.run_all(plan, folder, jobs=jobs, on_finished=lambda: progress.advance(bar))
    rows, verdicts = comparison.score(plan, folder, command=command_text("cobatrain"))
    show(*comparison_tables(rows))
    say(*(f"Loss weighted per {name}: {text}" for name, text in verdicts.items()))
    say_files({"report": folder / comparison.REPORT})
