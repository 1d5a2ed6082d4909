"""What a step spent, as the numbers of its record."""

from __future__ import annotations

from typing import Any

import numpy as np

from cobasim.allocation import Observation
from cobasim.arrays import FloatArray, IntArray
from cobasim.records import bin_counts


class Coverage:
    """Which prompts of the pool were visited, and which ever had a mixed group."""

    def __init__(self, num_prompts: int) -> None:
        self.visited = np.zeros(num_prompts, dtype=np.bool_)
        self.ever_mixed = np.zeros(num_prompts, dtype=np.bool_)

    def add(self, prompts: IntArray, budgets: IntArray, passes: IntArray) -> None:
        """Count one step's prompts (m,)."""
        mixed = (passes > 0) & (passes < budgets)
        self.visited[prompts] = True
        self.ever_mixed[prompts[mixed]] = True

    @property
    def never_mixed(self) -> float:
        """Share of the visited prompts that never had a mixed group."""
        return float(1.0 - np.count_nonzero(self.ever_mixed) / np.count_nonzero(self.visited))


def step_numbers(
    obs: Observation, budgets: IntArray, passes: IntArray, tokens: FloatArray | None = None
) -> dict[str, Any]:
    """Fields of ``StepRecord`` that follow from a step's m prompts, budgets and passes (m,).

    ``tokens`` (m,): of all responses of each group, if they are counted.
    """
    mixed = (passes > 0) & (passes < budgets)
    counts = np.bincount(budgets)
    tried = budgets > 0
    lengths = None if tokens is None else tokens[tried] / budgets[tried]
    return {
        "prompts": int(budgets.size),
        "smoothed_failure_rate": obs.failure_rate,
        "mixed_share": float(np.count_nonzero(mixed)) / budgets.size,
        "budget_min": int(budgets.min()),
        "budget_max": counts.size - 1,
        "budget_gini": gini(counts),
        "bins": bin_counts(obs.pass_rate, obs.seen, budgets, mixed, obs.attempts, tokens),
        **({} if lengths is None else length_numbers(lengths)),
    }


def length_numbers(lengths: FloatArray) -> dict[str, float]:
    """Least, median and largest of the groups' mean response lengths (g,), g >= 1."""
    return {
        "length_min": float(lengths.min()),
        "length_median": float(np.median(lengths)),
        "length_max": float(lengths.max()),
    }


def gini(counts: IntArray) -> float:
    """Gini coefficient of budgets given as counts (high + 1,) of prompts by budget.

    0 if all budgets are equal; towards 1 if one prompt has everything.
    """
    budgets = np.flatnonzero(counts)
    number = counts[budgets].astype(np.float64)
    mass = number * budgets
    total = float(mass.sum())
    if total == 0.0:
        return 0.0
    lorenz = np.cumsum(mass)
    area = float(np.dot(number, lorenz - 0.5 * mass)) / (float(number.sum()) * total)
    return max(0.0, 1.0 - 2.0 * area)
