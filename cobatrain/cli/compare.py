"""``cobatrain compare``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cobasim.cli import comparison_tables, progress_bar
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
    with progress_bar() as progress:
        bar = progress.add_task(
            f"{plan.config.loop.steps} steps a run", total=len(list(plan.runs()))
        )
        comparison.run_all(plan, folder, jobs=jobs, on_finished=lambda: progress.advance(bar))
    command = shlex.join(["cobatrain", *sys.argv[1:]])
    rows, verdicts = comparison.score(plan, folder, command=command)
    console = Console()
    for table in comparison_tables(rows):
        console.print(table)
    for name, text in verdicts.items():
        console.print(f"Loss weighted per {name}: {text}", highlight=False)
    console.print(f"report  {folder / comparison.REPORT}", highlight=False, soft_wrap=True)
