"""Budgets in proportion to the deviation of the reward: Neyman allocation, and DUET."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cobasim.allocation.base import ValueAllocator
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.allocation.solving import ValueFunction
from cobasim.arrays import FloatArray


class NeymanValue(ValueFunction):
    """w (1 - 1/n): what n rollouts save of the variance w of a measured mean.

    The real optimum is n in proportion to sqrt(w).

    Args:
        pass_rate: (m,) in [0, 1].
        weight: (m,) >= 0; None: p (1-p).
    """

    first = 1

    def __init__(self, pass_rate: FloatArray, weight: FloatArray | None = None) -> None:
        self.pass_rate = pass_rate
        with np.errstate(divide="ignore"):
            self.log_weight = np.log(pass_rate * (1.0 - pass_rate) if weight is None else weight)

    def log_value(self, rollouts: ArrayLike) -> FloatArray:
        """See the class; for n >= 1."""
        with np.errstate(divide="ignore"):
            saved = np.log1p(-1.0 / np.asarray(rollouts, dtype=np.float64))
        return np.asarray(self.log_weight + saved)

    def log_gain(self, rollouts: ArrayLike) -> FloatArray:
        """log w - log n - log(n+1)."""
        n = np.asarray(rollouts, dtype=np.float64)
        return np.asarray(self.log_weight - (np.log(n) + np.log(n + 1.0)))

    def rollouts_at(self, log_gain: float, low: int, high: int) -> tuple[FloatArray, FloatArray]:
        """Closed form of n (n+1) = w exp(-log gain)."""
        product = np.exp(self.log_weight - log_gain)
        n = np.sqrt(0.25 + product) - 0.5
        return n, product / (2.0 * n + 1.0)


@dataclass(frozen=True, kw_only=True)
class Neyman(ValueAllocator):
    """Rollouts in proportion to sqrt(p (1-p)), the deviation of the reward, rounded exactly."""

    source: ClassVar[str] = "Neyman (1934), optimal allocation in stratified sampling"
    estimator: ClassVar[str] = "posterior"

    def value(self, obs: Observation) -> ValueFunction:
        """See ``NeymanValue``."""
        return NeymanValue(obs.pass_rate)


@dataclass(frozen=True, kw_only=True)
class Duet(ValueAllocator):
    """DUET: rollouts in proportion to s / sqrt(L), predicted signal over root of length.

    s = sqrt(p (1-p)); L is the prompt's believed response length where tokens are counted (else 1),
    times 1 + longer (1-p), failures being longer by that share. Departures: the paper learns to
    predict s and L; here both are beliefs from the prompt's own rollouts. It spends a budget of
    tokens; here the total is one of rollouts, which the loop's ``token_budget`` makes from tokens.
    With equal lengths this is exactly ``neyman``.
    """

    source: ClassVar[str] = "DUET, arXiv 2605.08441"
    estimator: ClassVar[str] = "posterior"
    needs: ClassVar[frozenset[str]] = frozenset({"beliefs", "lengths"})
    longer: float = parameter(0.0, "by how much failing responses are longer (share)", at_least=0)

    def value(self, obs: Observation) -> ValueFunction:
        """See ``NeymanValue``, with weight s^2 / L."""
        p = obs.pass_rate
        length = 1.0 if obs.lengths is None else obs.lengths / obs.lengths.max()  # of any unit
        return NeymanValue(p, p * (1.0 - p) / (length * (1.0 + self.longer * (1.0 - p))))
