"""VIGOR: successive halving on the variance that a prompt has shown (arXiv 2607.22002)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation.base import RoundsAllocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.allocation.solving import spread_evenly
from cobasim.arrays import IntArray


@dataclass(frozen=True, kw_only=True)
class Vigor(RoundsAllocator):
    """VIGOR: rounds of equal cost, each on the half of the prompts with the most variance so far.

    With 4 rounds and a mean budget of 8 the rounds give 2, 4, 8 and 16 rollouts to a prompt that
    stays: the sizes that are cited; other totals scale them. Ties are drawn by lot. What the
    bounds keep a round from spending goes to the next, and in the last to all. Sums are exact.
    Departure: the paper was known to us by citation only; this is the textbook's rule.
    """

    source: ClassVar[str] = "VIGOR, arXiv 2607.22002 (rule as cited by others)"
    needs: ClassVar[frozenset[str]] = frozenset({"randomness", "rounds"})
    turns: int = parameter(4, "rounds", at_least=1)

    def rounds(self, obs: Observation, limits: Limits) -> Generator[IntArray, IntArray, None]:
        """See the class."""
        size = obs.pass_rate.size
        limits = limits.for_batch(size)
        low, high, left = limits.low, limits.high, limits.total
        lots = np.arange(size) if obs.rng is None else obs.rng.permutation(size)
        budgets = np.zeros(size, dtype=np.int64)
        passes = budgets.copy()
        alive = np.ones(size, dtype=np.bool_)
        for turn in range(self.turns):
            room = np.where(alive, high - budgets, 0)
            asked = np.zeros(size, dtype=np.int64)
            if turn == 0:
                asked += low
                room -= low
            whole = left if turn == self.turns - 1 else limits.total // self.turns
            wanted = min(max(whole - int(asked.sum()), 0), left - int(asked.sum()))
            asked = asked + spread_evenly(min(wanted, int(room.sum())), room)
            rest = left - int(asked.sum())
            if turn == self.turns - 1 and rest > 0:
                asked = asked + spread_evenly(rest, high - budgets - asked)
            if not asked.any():
                continue
            passes = passes + (yield asked)
            budgets = budgets + asked
            left -= int(asked.sum())
            share = passes / np.maximum(budgets, 1)
            variance = np.where(alive, share * (1.0 - share), -1.0)
            best = np.lexsort((lots, -variance))[: (int(alive.sum()) + 1) // 2]
            alive = np.zeros(size, dtype=np.bool_)
            alive[best] = True
