"""Plain GRPO: the same number of rollouts for every prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cobasim.allocation.base import Allocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Observation
from cobasim.allocation.solving import uniform_budgets
from cobasim.arrays import IntArray


@dataclass(frozen=True, kw_only=True)
class Uniform(Allocator):
    """The same number of rollouts for every prompt: plain GRPO."""

    source: ClassVar[str] = "GRPO, arXiv 2402.03300"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """Equal budgets; see ``uniform_budgets``."""
        return uniform_budgets(obs.pass_rate.size, limits)
