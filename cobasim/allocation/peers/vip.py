"""VIP: budgets that minimise the variance of the policy gradient (arXiv 2602.01601)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cobasim.allocation.base import ValueAllocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.allocation.solving import ValueFunction, solve, uniform_budgets
from cobasim.arrays import FloatArray, IntArray


class RlooVariance(ValueFunction):
    """What n rollouts save of the variance a / (n-1) that two leave: a (1 - 1/(n-1)).

    a = p (1-p); the paper's factor 4 sigma^2 is the same for all prompts. The gain a / (n (n-1))
    falls to exp(x) at n = 1/2 + sqrt(1/4 + a exp(-x)): the paper's n = 1 + sqrt(a / lambda) with
    the difference for the derivative.
    """

    first = 2

    def __init__(self, pass_rate: FloatArray) -> None:
        self.pass_rate = pass_rate
        with np.errstate(divide="ignore"):
            self.log_weight = np.log(pass_rate * (1.0 - pass_rate))

    def log_value(self, rollouts: ArrayLike) -> FloatArray:
        """See the class; for n >= 2."""
        with np.errstate(divide="ignore"):
            saved = np.log1p(-1.0 / (np.asarray(rollouts, dtype=np.float64) - 1.0))
        return np.asarray(self.log_weight + saved)

    def log_gain(self, rollouts: ArrayLike) -> FloatArray:
        """log a - log n - log(n-1)."""
        n = np.asarray(rollouts, dtype=np.float64)
        return np.asarray(self.log_weight - (np.log(n) + np.log(n - 1.0)))

    def rollouts_at(self, log_gain: float, low: int, high: int) -> tuple[FloatArray, FloatArray]:
        """Closed form, see the class."""
        product = np.exp(self.log_weight - log_gain)  # n (n-1)
        n = 0.5 + np.sqrt(0.25 + product)
        return n, product / (2.0 * n - 1.0)


class DrGrpoVariance(ValueFunction):
    """What n rollouts save of the variance a (n-1) / n^2, whose maximum a / 4 is at n = 2.

    Saved: a ((n-2) / (2n))^2; the gain a (n^2 - n - 1) / (n (n+1))^2 decreases from n = 3 on.
    """

    first = 3

    def __init__(self, pass_rate: FloatArray) -> None:
        self.pass_rate = pass_rate
        with np.errstate(divide="ignore"):
            self.log_weight = np.log(pass_rate * (1.0 - pass_rate))

    def log_value(self, rollouts: ArrayLike) -> FloatArray:
        """See the class; for n >= 2."""
        n = np.asarray(rollouts, dtype=np.float64)
        with np.errstate(divide="ignore"):
            return np.asarray(self.log_weight + 2.0 * np.log((n - 2.0) / (2.0 * n)))

    def log_gain(self, rollouts: ArrayLike) -> FloatArray:
        """See the class; for n >= 2."""
        n = np.asarray(rollouts, dtype=np.float64)
        share = np.log(n * n - n - 1.0) - 2.0 * (np.log(n) + np.log(n + 1.0))
        return np.asarray(self.log_weight + share)

    def rollouts_at(self, log_gain: float, low: int, high: int) -> tuple[FloatArray, FloatArray]:
        """From a / (n + 3/2)^2, the gain's tail, by two Newton steps; the solvers make it exact."""
        n = np.clip(np.exp(0.5 * (self.log_weight - log_gain)) - 1.5, 3.0, 2.0 * high + 2.0)
        for _ in range(2):
            slope = (2.0 * n - 1.0) / (n * n - n - 1.0) - 2.0 / n - 2.0 / (n + 1.0)
            step = np.maximum(self.log_gain(n), log_gain - 50.0) - log_gain  # -inf at p = 0, 1
            n = np.clip(n - step / slope, 3.0, 2.0 * high + 2.0)
        return n, -1.0 / slope


@dataclass(frozen=True, kw_only=True)
class VipRloo(ValueAllocator):
    """VIP for RLOO: the least sum of p (1-p) / (n-1), the variance of the gradient.

    Exact on whole rollouts (the paper solves the relaxation and rounds greedily). Where the total
    does not give ``least`` to every prompt, budgets are uniform. Departure: the paper predicts p
    with a Gaussian process over prompt embeddings; here it is the posterior mean of the prompt's
    own rollouts, as for all allocators.
    """

    source: ClassVar[str] = "VIP, arXiv 2602.01601"
    estimator: ClassVar[str] = "posterior"
    least: int = parameter(3, "fewest rollouts of a prompt, where the total allows it", at_least=3)

    def value(self, obs: Observation) -> ValueFunction:
        """See ``RlooVariance``."""
        return RlooVariance(obs.pass_rate)

    def allocate_seen(self, obs: Observation, limits: Limits) -> IntArray:
        """The solver with ``least`` as lower bound."""
        size = obs.pass_rate.size
        limits = limits.for_batch(size)
        low = max(limits.low, self.least)
        if low > limits.high or size * low > limits.total:
            return uniform_budgets(size, limits)
        return solve(self.value(obs), Limits(limits.total, low, limits.high), self.solver)


@dataclass(frozen=True, kw_only=True)
class VipDrGrpo(VipRloo):
    """VIP for Dr.GRPO: the least sum of p (1-p) (n-1) / n^2, the variance of the gradient.

    That variance is convex from three rollouts on only, hence ``least``. Otherwise as ``VipRloo``.
    """

    def value(self, obs: Observation) -> ValueFunction:
        """See ``DrGrpoVariance``."""
        return DrGrpoVariance(obs.pass_rate)
