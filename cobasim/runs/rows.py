"""One flat row a run: how it is made, and how it is stored, each in a file of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cobasim.loop import Loop
from cobasim.records import Run, rename, write_atomically
from cobasim.runs.config import RunConfig
from cobasim.runs.execution import measured_pool, run_header, simulate

ROWS = "rows"

Measure = Callable[[Run, Loop], Mapping[str, Any]]
"""Further columns of a run's row, as plain values; a function that another process can import."""


def execute_row(config: RunConfig, measure: Measure | None = None) -> dict[str, Any]:
    """Run one config in memory; its scores as one flat row, and what ``measure`` adds to it."""
    from cobasim.scores import summarise

    began = time.perf_counter()
    loop, records = simulate(config, measured_pool(config.pass_rates, config.reading))
    finished_run = Run(run_header(config), tuple(records), Path())
    scores = asdict(summarise(finished_run))
    return {
        "allocator": scores.pop("allocator"),
        "weighting": scores.pop("weighting"),
        "world": config.world.world,
        "seed": scores.pop("seed"),
        **scores,
        "seconds": time.perf_counter() - began,
        **({} if measure is None else measure(finished_run, loop)),
    }


def numbered_row(
    number: int, config: RunConfig, measure: Measure | None
) -> tuple[int, dict[str, Any]]:
    """The row of a run, with the run's number."""
    return number, execute_row(config, measure)


def finished(out: Path) -> set[int]:
    """Numbers of the runs that are stored."""
    return {int(file.stem) for file in (out / ROWS).glob("*.json")}


def read_row(out: Path, number: int) -> dict[str, Any]:
    """The stored row of a run."""
    return rename(json.loads(_file(out, number).read_text()))


def store_row(out: Path, numbers: Iterable[int], row: Mapping[str, Any]) -> None:
    """Store one row under each of the numbers: equal runs are done once."""
    text = json.dumps(row) + "\n"
    for number in numbers:
        write_atomically(_file(out, number), text)


def _file(out: Path, number: int) -> Path:
    return out / ROWS / f"{number:07d}.json"
