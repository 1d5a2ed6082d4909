"""Knapsack-RL (arXiv 2509.25849)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation.base import ValueAllocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Observation
from cobasim.allocation.solving import KnapsackValue, ValueFunction, solve, spread_evenly
from cobasim.arrays import IntArray


@dataclass(frozen=True, kw_only=True)
class Knapsack(ValueAllocator):
    """Knapsack-RL: the chance of a mixed group times the expected gain of one update.

    Fallback, as in its public code: a mixed prompt needs no more than c(p) = ln 0.1 /
    ln max(p, 1-p) rollouts for a 90 % chance of both outcomes. When the total exceeds what the
    mixed prompts can use by that measure, the excess is split evenly over the prompts with
    p = 0; what these cannot take, or all of it where there are none, over the other prompts that
    are not mixed; what is left after that goes back to the mixed ones.
    """

    source: ClassVar[str] = "Knapsack-RL, arXiv 2509.25849"

    def value(self, obs: Observation) -> ValueFunction:
        """See ``KnapsackValue``."""
        return KnapsackValue(obs.pass_rate)

    def allocate_seen(self, obs: Observation, limits: Limits) -> IntArray:
        """The solver on the mixed prompts, after the fallback for the excess."""
        p = obs.pass_rate
        limits = limits.for_batch(p.size)
        low, high = limits.low, limits.high
        mixed = (p > 0.0) & (p < 1.0)
        others = ~mixed
        if not others.any():
            return super().allocate_seen(obs, limits)
        budgets = np.full(p.size, low, dtype=np.int64)
        available = limits.total - low * int(others.sum())  # for the mixed prompts, at most
        with np.errstate(over="ignore"):
            cost = np.log(0.1) / np.log1p(-np.minimum(p[mixed], 1.0 - p[mixed]))
        usable = int(np.clip(np.ceil(np.fmin(cost, high)), low, high).sum())
        excess = max(available - usable, 0)
        for fallback in (p == 0.0, others):
            room = np.where(fallback & (budgets < high), high - budgets, 0)
            extra = spread_evenly(min(excess, int(room.sum())), room)
            budgets += extra
            excess -= int(extra.sum())
            available -= int(extra.sum())
        if mixed.any():
            value = KnapsackValue(p[mixed])
            budgets[mixed] = solve(value, Limits(available, low, high), self.solver)
        return budgets
