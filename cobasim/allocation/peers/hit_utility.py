"""Hit-Utility (HORA): each rollout is worth its chance of the first success (arXiv 2605.07114)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cobasim.allocation.base import ValueAllocator
from cobasim.allocation.observation import Observation
from cobasim.allocation.solving import ValueFunction
from cobasim.arrays import FloatArray


def _betaln(a: FloatArray, b: FloatArray) -> FloatArray:
    """log B(a, b), elementwise."""
    from scipy import special  # slow to import, and most allocators do without

    return np.asarray(special.betaln(a, b))


class HitValue(ValueFunction):
    """The chance of at least one success in n rollouts, p ~ Beta(a, b): 1 - B(a, b+n) / B(a, b).

    The gain of rollout n (from 0) is E[p (1-p)^n] = B(a+1, b+n) / B(a, b), strictly decreasing
    with a tail as heavy as n^-(a+1): it keeps trying where there were only failures.
    """

    def __init__(self, a: FloatArray, b: FloatArray) -> None:
        self.a, self.b = a, b
        self.pass_rate = a / (a + b)
        self.log_beta = _betaln(a, b)

    def log_value(self, rollouts: ArrayLike) -> FloatArray:
        """See the class."""
        log_none = _betaln(self.a, self.b + np.asarray(rollouts)) - self.log_beta
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(-np.expm1(log_none)))

    def log_gain(self, rollouts: ArrayLike) -> FloatArray:
        """See the class."""
        gain = _betaln(self.a + 1.0, self.b + np.asarray(rollouts)) - self.log_beta
        return np.asarray(gain)

    def rollouts_at(self, log_gain: float, low: int, high: int) -> tuple[FloatArray, FloatArray]:
        """From Gamma(z) / Gamma(z+a+1), about (z + a/2)^-(a+1); the solvers make it exact."""
        from scipy import special

        power, shift = self.a + 1.0, self.b + 0.5 * self.a
        log_reach = (special.gammaln(power) - self.log_beta - log_gain) / power
        reach = np.exp(np.minimum(log_reach, np.log(shift + 2.0 * high + 2.0)))
        return reach - shift, reach / power


@dataclass(frozen=True, kw_only=True)
class HitUtility(ValueAllocator):
    """Hit-Utility: greedy on the posterior chance that one more rollout is the first success.

    The gains are concave, so the solvers are exact. Departure: the paper probes every prompt with
    a few rollouts of the same step; here the evidence is that of earlier visits (by default the
    last one on a uniform prior, Beta(1+s, 1+failures), as after its probes).
    """

    source: ClassVar[str] = "HORA, arXiv 2605.07114 (rule as cited by others)"
    needs: ClassVar[frozenset[str]] = frozenset({"beliefs", "evidence"})

    def value(self, obs: Observation) -> ValueFunction:
        """See ``HitValue``."""
        return HitValue(*obs.beta())
