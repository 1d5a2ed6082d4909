"""Dealing the rollouts of a step to ranks, whatever the budgets (pure numpy)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import IntArray
from cobasim.errors import InputError


def balance(budgets: ArrayLike, world: int) -> IntArray:
    """How many rollouts of each prompt each rank makes: (world, m), from budgets (m,).

    Column sums are the budgets; row sums differ by at most 1, whatever the budgets, so a group may
    be split over ranks. Rollouts are dealt in turn rather than in blocks: each prompt, and so each
    response length, is spread as evenly as it can be, at the price that several ranks read the
    same prompt. Raises InputError if a value is invalid.
    """
    if world < 1:
        raise InputError(f"the number of ranks must be at least 1, got {world}")
    counts = np.asarray(budgets)
    if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise InputError(
            f"budgets must be a flat array of whole numbers >= 0, got {counts.dtype} {counts.shape}"
        )
    end = np.cumsum(counts, dtype=np.int64)
    rank = np.arange(world)[:, None]

    def dealt(before: IntArray) -> IntArray:  # of rollouts 0 .. before-1, those dealt to each rank
        return (before - rank + world - 1) // world

    return dealt(end) - dealt(end - counts)


def first_rollouts(assignment: IntArray) -> IntArray:
    """The number, within its group, of each rank's first rollout of each prompt: (world, m).

    For seeds per rollout: rank r makes rollouts first .. first + assignment[r, i] - 1 of prompt i,
    so no two ranks use the same seed.
    """
    return np.cumsum(assignment, axis=0) - assignment
