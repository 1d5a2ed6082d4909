"""Reinforce-Ada: sample each prompt until it has given a signal (arXiv 2510.04996)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation.base import RoundsAllocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Kept, Observation
from cobasim.allocation.parameters import parameter
from cobasim.arrays import BoolArray, IntArray


def balanced_part(budgets: IntArray, passes: IntArray, size: IntArray) -> IntArray:
    """Passes (m,) among ``size`` (m,) <= budgets rollouts chosen as half passes as can be.

    For binary rewards this is also the choice of the largest reward variance.
    """
    failures = budgets - passes
    return np.minimum(passes, np.maximum(size // 2, size - failures))


@dataclass(frozen=True, kw_only=True)
class ReinforceAda(RoundsAllocator):
    """Reinforce-Ada (positive): rounds of 8 until a prompt's first success, at most 4 rounds.

    The update gets ``kept`` rollouts of each prompt, half of them passes where there are so many,
    with advantage r - mean over all that were generated, not divided by a deviation. The total is
    whatever it comes to; only the bounds of a prompt are kept.
    """

    source: ClassVar[str] = "Reinforce-Ada, arXiv 2510.04996"
    needs: ClassVar[frozenset[str]] = frozenset({"part", "rounds"})
    exact: ClassVar[bool] = False
    size: int = parameter(8, "rollouts of an active prompt in a round", at_least=1)
    turns: int = parameter(4, "rounds at most", at_least=1)
    kept: int = parameter(4, "rollouts of a prompt that are trained on", at_least=2)

    def leaves(self, budgets: IntArray, passes: IntArray) -> BoolArray:
        """(m,) which prompts need no further round."""
        return passes > 0

    def rounds(self, obs: Observation, limits: Limits) -> Generator[IntArray, IntArray, None]:
        """See the class."""
        budgets = np.zeros(obs.pass_rate.size, dtype=np.int64)
        passes = budgets.copy()
        active = np.ones(budgets.shape, dtype=np.bool_)
        for turn in range(self.turns):
            size = max(self.size, limits.low) if turn == 0 else self.size
            asked = np.where(active, np.minimum(size, limits.high - budgets), 0)
            if not asked.any():
                return
            passes = passes + (yield asked)
            budgets = budgets + asked
            active &= ~self.leaves(budgets, passes)

    def keep(self, obs: Observation, budgets: IntArray, passes: IntArray) -> Kept:
        """``kept`` balanced rollouts, with the mean of all as baseline."""
        size = np.minimum(budgets, self.kept)
        baseline = passes / np.maximum(budgets, 1)
        return Kept(size, balanced_part(budgets, passes, size), baseline)


@dataclass(frozen=True, kw_only=True)
class ReinforceAdaBalanced(ReinforceAda):
    """Reinforce-Ada (balanced): a prompt leaves with ``kept`` / 2 passes and as many failures."""

    def leaves(self, budgets: IntArray, passes: IntArray) -> BoolArray:
        """(m,) which prompts need no further round."""
        half = self.kept // 2
        return np.asarray((passes >= half) & (budgets - passes >= half))
