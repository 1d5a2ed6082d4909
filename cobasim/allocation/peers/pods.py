"""PODS: generate many, train on the few of the largest reward variance (arXiv 2504.13818)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation.base import Allocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Kept, Observation
from cobasim.allocation.parameters import parameter
from cobasim.allocation.peers.reinforce_ada import balanced_part
from cobasim.allocation.solving import uniform_budgets
from cobasim.arrays import IntArray


@dataclass(frozen=True, kw_only=True)
class Pods(Allocator):
    """PODS: uniform budgets; the update gets the part of each group with the most variance.

    For binary rewards that is half passes and half failures, as far as there are. Advantages are
    made from the kept part. All rollouts are counted; what is saved is time of training.
    """

    source: ClassVar[str] = "PODS, arXiv 2504.13818"
    needs: ClassVar[frozenset[str]] = frozenset({"part"})
    share: float = parameter(0.25, "part of each group that is trained on", above=0, at_most=1)

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """Equal budgets."""
        return uniform_budgets(obs.pass_rate.size, limits)

    def keep(self, obs: Observation, budgets: IntArray, passes: IntArray) -> Kept:
        """At least two of each group, where it has them."""
        size = np.minimum(np.maximum(np.rint(self.share * budgets).astype(np.int64), 2), budgets)
        return Kept(size, balanced_part(budgets, passes, size))
