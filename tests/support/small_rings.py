"""A small ring: two conditions, three allocators, two seeds."""

from __future__ import annotations

from pathlib import Path

from cobasim.experiments import ring
from cobasim.runs import Sweep, claim, run_sweep

POINTS = (ring.condition("logistic", "math"), ring.condition("skill-chain", "easy"))
TINY = {"num_prompts": 160, "num_heldout": 60}
NAMES = ("uniform", "knapsack", "coba")


def tiny_ring() -> Sweep:
    return ring.plan("quick", NAMES, seeds=2, steps=6, settings=TINY, points=POINTS)


def ran(sweep: Sweep, out: Path) -> list[dict]:
    claim(sweep, out)
    return run_sweep(sweep, out, jobs=1, measure=ring.measure).to_pylist()
