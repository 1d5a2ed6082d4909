"""``cobatrain benchmark``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cobasim.cli import JsonFlag, show
from cobatrain.cli.common import Config, Settings, one_process, tell

if TYPE_CHECKING:
    from cobatrain.benchmark import Overheads


def benchmark(
    config: Config = "tiny",
    steps: Annotated[int, typer.Option(min=1, help="Steps to take the medians of.")] = 15,
    settings: Settings = None,
    as_json: JsonFlag = False,
) -> None:
    """What a step costs in addition to generation and the model's forward and backward."""
    from cobatrain import trainer
    from cobatrain.benchmark import measure
    from cobatrain.config import load_config

    one_process("benchmark")
    chosen = load_config(config, settings or [])
    trainer.prepare_if_missing(chosen, say=tell)
    trainer.warn_of_slow_bfloat16(chosen, tell)
    overheads = measure(chosen, steps=steps, pairs=steps)
    if as_json:
        print(json.dumps(overheads.to_json(), indent=1))
        return
    show(_table(overheads))
    if overheads.direct_ratio is None:
        print("generate / direct was not measured: engine.subprocess is on")


def _table(overheads: Overheads) -> Table:
    place = "in a process of its own" if overheads.subprocess else "in the trainer's process"
    table = Table(
        title=f"One step: {overheads.prompts} prompts, {overheads.rollouts} rollouts, "
        f"{overheads.tokens:,.0f} tokens; {overheads.allocator}; {overheads.engine} {place}\n"
        f"{overheads.step_ms:.0f} ms, median of {overheads.steps} steps"
    )
    for column in ("", "ms", "share", "limit", ""):
        table.add_column(column, justify="right" if column else "left")
    for name, ms, figure, limit, met in overheads.rows():
        bound = "" if limit is None else f"{limit:g} x" if limit > 1 else f"{100 * limit:g} %"
        verdict = "" if met is None else "met" if met else "MISSED"
        table.add_row(name, "" if ms is None else f"{ms:.2f}", figure, bound, verdict)
    return table
