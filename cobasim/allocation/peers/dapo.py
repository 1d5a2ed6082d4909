"""DAPO's dynamic sampling: draw prompts until the batch has mixed groups only (2503.14476)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation.base import RoundsAllocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Kept, Observation
from cobasim.allocation.parameters import parameter
from cobasim.arrays import IntArray


def fixed_size(num_prompts: int, limits: Limits) -> int:
    """The same whole number of rollouts for each of ``num_prompts``, within ``limits``."""
    return int(np.clip(limits.total // num_prompts, max(limits.low, 1), limits.high))


@dataclass(frozen=True, kw_only=True)
class Dapo(RoundsAllocator):
    """DAPO: groups of one outcome are dropped, and further batches drawn to replace them.

    Every drawn prompt gets the same N = total / batch size. The update gets the first M mixed
    groups; what else was generated is paid for and not used. After ``batches`` batches it takes
    what there is.
    """

    source: ClassVar[str] = "DAPO, arXiv 2503.14476"
    needs: ClassVar[frozenset[str]] = frozenset({"part", "rounds"})
    exact: ClassVar[bool] = False
    batches: int = parameter(10, "batches drawn for one update, at most", at_least=1, at_most=100)

    def candidates(self) -> int:
        """``batches``."""
        return self.batches

    def rounds(self, obs: Observation, limits: Limits) -> Generator[IntArray, IntArray, None]:
        """One batch a round, until enough groups are mixed."""
        batch = obs.batches
        wanted = int(np.count_nonzero(batch == 0))
        size = fixed_size(wanted, limits)
        mixed = 0
        for number in range(int(batch.max()) + 1):
            asked = np.where(batch == number, size, 0)
            passes = yield asked
            mixed += int(np.count_nonzero((passes > 0) & (passes < asked)))
            if mixed >= wanted:
                return

    def keep(self, obs: Observation, budgets: IntArray, passes: IntArray) -> Kept:
        """The first M mixed groups, whole."""
        mixed = (passes > 0) & (passes < budgets)
        chosen = mixed & (np.cumsum(mixed) <= np.count_nonzero(obs.batches == 0))
        return Kept(np.where(chosen, budgets, 0), np.where(chosen, passes, 0))
