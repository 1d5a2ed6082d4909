"""GVM-RAFT: a pilot, then budgets by success rate and gradient norm (arXiv 2505.02391)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation.base import RoundsAllocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.allocation.solving import spread_proportionally
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Gvm(RoundsAllocator):
    """GVM: after a pilot, rollouts in proportion to G / sqrt(p + a / p^(b-1)), none where p = 0.

    The pilot comes out of the total and is part of the groups; where the total is less than a
    pilot for all, the pilot is the mean budget. G, the norm of the gradient of an accepted
    sample, is 1 - p (a Bernoulli outcome in its logit), times the norm of that logit's gradient
    with ``gradients="learner"`` where the learner knows it (the worlds do). Departure: what no
    prompt with p > 0 can take is spread over all. Sums are exact.
    """

    source: ClassVar[str] = "GVM-RAFT, arXiv 2505.02391"
    needs: ClassVar[frozenset[str]] = frozenset({"gradient_norms", "rounds"})
    pilot: int = parameter(8, "rollouts of every prompt in the first round", at_least=1)
    a: float = parameter(1e-3, "regulariser of small pass rates", at_least=0)
    b: float = parameter(2.0, "power of the regulariser", at_least=1)
    gradients: str = parameter("bernoulli", "what G is made of", choices=("bernoulli", "learner"))

    def weights(self, pass_rate: FloatArray) -> FloatArray:
        """The rule, (m,)."""
        p = np.where(pass_rate > 0.0, pass_rate, 1.0)
        weight = (1.0 - p) / np.sqrt(p + self.a / p ** (self.b - 1.0))
        return np.where(pass_rate > 0.0, weight, 0.0)

    def rounds(self, obs: Observation, limits: Limits) -> Generator[IntArray, IntArray, None]:
        """The pilot, and the rest."""
        size = obs.pass_rate.size
        limits = limits.for_batch(size)
        first = min(max(self.pilot, limits.low), limits.total // size, limits.high)
        pilot = np.full(size, first, dtype=np.int64)
        passes = yield pilot
        weights = self.weights(passes / np.maximum(pilot, 1))
        if self.gradients == "learner":
            if obs.gradient_norms is None:
                raise InputError(
                    "gvm with gradients=learner needs a learner with a method gradient_norms; the "
                    "simulated worlds have it: use gradients=bernoulli elsewhere"
                )
            weights = weights * obs.gradient_norms
        yield spread_proportionally(limits.total - first * size, weights, limits.high - pilot)
