"""CoBA-RL with alpha driven by another signal than the failure rate."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation.methods.coba import Coba
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.arrays import FloatArray
from cobasim.updates import mixed_chance


@dataclass(frozen=True, kw_only=True)
class CobaSignal(Coba):
    """CoBA-RL with alpha driven by another signal than the failure rate; subclasses give it.

    A signal s in [0, 1] is made from the estimates of the batch's seen prompts, without
    smoothing, and takes the place of Fbar in Eq. 6: as a success rate (F = 1 - s) it makes alpha
    fall as it grows, as a failure rate (F = s) it makes alpha rise.
    """

    source: ClassVar[str] = "a variant of CoBA-RL, arXiv 2602.03048, which leaves it open"
    read_as: str = parameter(
        "success", "whether a high signal means success or failure", choices=("success", "failure")
    )

    @abstractmethod
    def signal(self, pass_rate: FloatArray) -> float:
        """The signal in [0, 1] from estimated pass rates (m,), m >= 1."""

    def shape(self, obs: Observation) -> tuple[float, float]:
        """Eq. 7 at the signal; before any prompt was seen, as ``Coba``."""
        seen = obs.seen
        if not seen.any():
            return super().shape(obs)
        signal = self.signal(obs.pass_rate[seen])
        rate = 1.0 - signal if self.read_as == "success" else signal
        return super().shape(dataclasses.replace(obs, failure_rate=rate))


@dataclass(frozen=True, kw_only=True)
class CobaVariance(CobaSignal):
    """CoBA-RL driven by the variance of rewards: s = 4 mean p (1-p)."""

    def signal(self, pass_rate: FloatArray) -> float:
        """1 where every prompt passes half of the time, 0 where none is in doubt."""
        return 4.0 * float(np.mean(pass_rate * (1.0 - pass_rate)))


@dataclass(frozen=True, kw_only=True)
class CobaMixed(CobaSignal):
    """CoBA-RL driven by the expected share of mixed groups under uniform budgets."""

    group_size: int = parameter(16, "rollouts of the groups that the share is expected of",
                                at_least=2)  # fmt: skip

    def signal(self, pass_rate: FloatArray) -> float:
        """s = mean of 1 - p^n - (1-p)^n, n = ``group_size``."""
        return float(np.mean(mixed_chance(pass_rate, self.group_size)))


@dataclass(frozen=True, kw_only=True)
class CobaUpdate(CobaSignal):
    """CoBA-RL driven by the expected size of a GRPO update: s = 2 mean sqrt(p (1-p)).

    The large-group limit of the move of a prompt's logit, sqrt(m (n-m)) / n for m passes of n
    rollouts, over its largest value.
    """

    def signal(self, pass_rate: FloatArray) -> float:
        """1 where every prompt passes half of the time, 0 where nothing is to be learned."""
        return 2.0 * float(np.mean(np.sqrt(pass_rate * (1.0 - pass_rate))))
