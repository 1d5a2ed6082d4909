"""Plans of studies: combinations of settings in both worlds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from cobasim.experiments.studies.study import Options
from cobasim.runs import Point, Sweep

RATES = {"logistic": 4e-3, "skill-chain": 5e-2}
"""Learning rates at which uniform rises by about 10 points in 120 steps, the least that it rises
in 500 steps with the defaults."""

BOTH_WORLDS: list[Point] = [
    {"world": world, "learning_rate": rate} for world, rate in RATES.items()
]


def axis(name: str, values: Iterable[Any]) -> list[Point]:
    """One setting at several values."""
    return [{name: value} for value in values]


def sweep(
    options: Options,
    allocators: Sequence[str],
    *axes: Sequence[Point],
    settings: Mapping[str, Any] | None = None,
    **chosen: Any,
) -> Sweep:
    """Every combination of the axes' points, in both worlds unless an axis names one.

    Args:
        options: the preset gives sizes and seeds.
        allocators: names.
        axes: points; later ones win.
        settings: what holds everywhere, by flat name.
        chosen: fields of CompareConfig, changing seeds or weightings (by default both).
    """
    size = options.size
    worlds = [] if any("world" in point for points in axes for point in points) else [BOTH_WORLDS]
    merged: list[Point] = []
    for group in product(*worlds, *axes):
        point: Point = {}
        for part in group:
            point |= part
        merged.append(point)
    held = {
        "num_prompts": size.pool, "num_heldout": size.heldout, "batch_size": size.batch,
        "total_budget": 16 * size.batch, "steps": size.steps, "eval_every": max(size.steps // 6, 1),
    }  # fmt: skip
    fixed = {
        "allocators": tuple(allocators), "weightings": ("rollout", "prompt"), "seeds": size.seeds,
    }  # fmt: skip
    return Sweep("quick", held | dict(settings or {}), fixed | chosen, tuple(merged))
