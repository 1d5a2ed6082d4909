"""Value function and limits -> budgets that maximise the total value. Pure.

``heap`` is Algorithm 1 of arXiv 2602.03048 to the letter, ``threshold`` gives the identical
budgets at a cost that does not depend on the total, ``dp`` is the paper's dynamic-programming
baseline, kept as a slow reference that assumes nothing about the gains.

The order in which greedy takes rollouts: larger gain first; of equal gains the lower index first.
What is left when no gain is positive is spread evenly over the prompts that have room.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cobasim.allocation.limits import Limits
from cobasim.allocation.solving.dynamic import dp
from cobasim.allocation.solving.heap import heap
from cobasim.allocation.solving.spread import spread_evenly
from cobasim.allocation.solving.threshold import threshold
from cobasim.allocation.solving.values import ValueFunction
from cobasim.arrays import IntArray
from cobasim.errors import InputError
from cobasim.plugins import Registry

Solver = Callable[[ValueFunction, int, IntArray, int], IntArray]

SOLVERS: Registry[Solver] = Registry("solver", {"threshold": threshold, "heap": heap, "dp": dp})


def solve(value: ValueFunction, limits: Limits, solver: str = "threshold") -> IntArray:
    """Budgets (m,) that maximise ``sum_i V(B_i, p_i)`` under ``limits``.

    Args:
        value: value function of a flat batch of m prompts.
        limits: total and bounds.
        solver: a name in SOLVERS.

    Raises InputError for an infeasible total, an unknown solver, or a lower bound at which the
    gains of this value function do not decrease yet.
    """
    search = SOLVERS.find(solver)
    num_prompts = value.pass_rate.size
    limits = limits.for_batch(num_prompts)
    low, high = limits.low, limits.high
    if low < value.first:
        raise InputError(
            f"low must be at least {value.first} for {type(value).__name__}, got {low}: below "
            "that its gains do not decrease"
        )
    left = limits.total - num_prompts * low
    if left == 0:
        return np.full(num_prompts, low, dtype=np.int64)
    # Rollouts with a positive gain; the others are not the solver's business.
    useful = np.full(num_prompts, high - low, dtype=np.int64)
    total_useful = num_prompts * (high - low)
    if value.worthless_at(high - 1):
        useful = np.where(value.log_gain(low) == -np.inf, 0, useful)
        if bool(np.any((value.log_gain(high - 1) == -np.inf) & (useful > 0))):
            useful = value.first_below(-np.inf, low, high) - low
        total_useful = int(useful.sum())
    if left < total_useful:
        budgets = search(value, low, useful, left)
        budgets += low
        return budgets
    return low + useful + spread_evenly(left - total_useful, high - low - useful)
