"""The paper's dynamic-programming baseline: slow, and assumes nothing about the gains."""

from __future__ import annotations

import numpy as np

from cobasim.allocation.solving.values import ValueFunction
from cobasim.arrays import IntArray
from cobasim.errors import InputError

DP_CELLS = 500_000_000  # the most that the dynamic program may keep, 4 bytes each


def dp(value: ValueFunction, low: int, useful: IntArray, amount: int) -> IntArray:
    """Exact dynamic program over prompts and rollouts, O(m R max(useful)); a slow reference.

    Assumes nothing about the gains. Values are summed in floating point after scaling by the
    largest gain, so gains below 1e-16 of it count as 0, and of several optima any may come out.
    Arguments and result as ``heap``. Raises InputError above DP_CELLS cells (2 GB).
    """
    num_prompts, top = useful.size, int(useful.max())
    cells = num_prompts * (amount + 1)
    if cells > DP_CELLS:
        raise InputError(
            f"the dynamic program keeps prompts x (rollouts + 1) = {cells:,} cells, more than "
            f"{DP_CELLS:,}; take solver threshold or heap, which give the same budgets"
        )
    log_gains = value.log_gain(low + np.arange(top)[:, None])  # (top, m)
    gains = np.exp(log_gains - log_gains.max())
    worth = np.vstack([np.zeros(num_prompts), np.cumsum(gains, axis=0)])  # (top + 1, m)
    choice = np.zeros((num_prompts, amount + 1), dtype=np.int32)
    best = np.full(amount + 1, -np.inf)  # best[r]: the most that r rollouts bring so far
    best[0] = 0.0
    reach = 0
    for i in range(num_prompts):
        new = best.copy()
        for units in range(1, min(int(useful[i]), amount) + 1):
            end = min(amount, reach + units)
            candidate = best[: end - units + 1] + worth[units, i]
            window = new[units : end + 1]
            better = candidate > window
            np.copyto(window, candidate, where=better)
            choice[i, units : end + 1][better] = units
        best = new
        reach = min(amount, reach + int(useful[i]))
    extra = np.zeros(num_prompts, dtype=np.int64)
    left = amount
    for i in range(num_prompts - 1, -1, -1):
        extra[i] = choice[i, left]
        left -= int(extra[i])
    return extra
