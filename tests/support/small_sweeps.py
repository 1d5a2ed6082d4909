"""Small sweeps, and how they are run."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from cobasim.records import Run
from cobasim.runs import Parameter, Sweep, claim, points, run_sweep

SMALL = {"num_prompts": 300, "num_heldout": 50}
CHOSEN = {
    "allocators": ("uniform", "coba"), "weightings": ("rollout", "prompt"), "seeds": 2,
    "steps": 6, "batch_size": 32, "total_budget": 256,
}  # fmt: skip
TIMES = ["seconds", "allocate_ms"]


def small_sweep(*texts: str, **changes) -> Sweep:
    """Two allocators, two weightings, two seeds at every point of these ranges."""
    parameters = [Parameter.parse(text) for text in texts or ("kappa=7,11", "noise=0,10")]
    return Sweep("quick", SMALL, CHOSEN | changes, tuple(points(parameters)))


def tiny_sweep(*at: dict) -> Sweep:
    """Two runs of two steps at every point."""
    chosen = {
        "allocators": ("uniform", "coba"), "weightings": ("rollout",), "seeds": 1, "steps": 2,
        "batch_size": 16, "total_budget": 64,
    }  # fmt: skip
    return Sweep("quick", {"num_prompts": 64, "num_heldout": 20}, chosen, at or ({"kappa": 7},))


def swept(sweep: Sweep, out: Path, **options) -> pa.Table:
    claim(sweep, out)
    return run_sweep(sweep, out, **options)


def untimed(table: pa.Table) -> pa.Table:
    return table.drop_columns(TIMES)


def steps_done(run: Run, loop) -> dict[str, int]:
    """A measure of one's own."""
    assert run.steps[-1].step == loop.step
    return {"steps_done": loop.step}
