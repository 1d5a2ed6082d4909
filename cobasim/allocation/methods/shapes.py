"""CoBA-RL's value function with a Beta shape that is fixed, or scheduled over the run."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from cobasim.allocation.base import ValueAllocator
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.allocation.solving import CobaValue, ValueFunction


@dataclass(frozen=True, kw_only=True)
class ShapeAllocator(ValueAllocator):
    """CoBA-RL's value function under some rule for (alpha, beta); subclasses give ``shape``."""

    tau: float = parameter(8.0, "saturation scale of Eq. 8, in rollouts times p (1-p)", above=0)

    @abstractmethod
    def shape(self, obs: Observation) -> tuple[float, float]:
        """(alpha, beta) of the preference density."""

    def value(self, obs: Observation) -> ValueFunction:
        """See ``CobaValue``."""
        alpha, beta = self.shape(obs)
        return CobaValue(obs.pass_rate, alpha=alpha, beta=beta, tau=self.tau)


@dataclass(frozen=True, kw_only=True)
class Fixed(ShapeAllocator):
    """CoBA-RL's value function with a Beta shape that never changes."""

    source: ClassVar[str] = "CoBA-RL, arXiv 2602.03048, Table 3"
    alpha: float = parameter(5.5, "first parameter of the preference density", above=0)
    beta: float = parameter(5.5, "second parameter of the preference density", above=0)

    def shape(self, obs: Observation) -> tuple[float, float]:
        """The parameters, as given."""
        return self.alpha, self.beta


@dataclass(frozen=True, kw_only=True)
class FixedExploit(Fixed):
    """Always prefers prompts that mostly pass: Beta(10.5, 1.5)."""

    alpha: float = parameter(10.5, "first parameter of the preference density", above=0)
    beta: float = parameter(1.5, "second parameter of the preference density", above=0)


@dataclass(frozen=True, kw_only=True)
class FixedExplore(Fixed):
    """Always prefers prompts that mostly fail: Beta(1.5, 10.5)."""

    alpha: float = parameter(1.5, "first parameter of the preference density", above=0)
    beta: float = parameter(10.5, "second parameter of the preference density", above=0)


@dataclass(frozen=True, kw_only=True)
class LinearDecay(ShapeAllocator):
    """Alpha falls in equal steps (10, 9, .., 1) over the run, whatever the policy does."""

    source: ClassVar[str] = "CoBA-RL, arXiv 2602.03048, Table 3"
    needs: ClassVar[frozenset[str]] = ShapeAllocator.needs | {"progress"}
    kappa: float = parameter(11.0, "alpha + beta", above=2)
    steps: int = parameter(10, "number of equal steps over the run", at_least=1)

    def shape(self, obs: Observation) -> tuple[float, float]:
        """Alpha from kappa - 1 down to 1 by ``obs.progress``."""
        done = min(int(obs.progress * self.steps), self.steps - 1)
        alpha = self.kappa - 1.0 - (self.kappa - 2.0) * done / max(self.steps - 1, 1)
        return alpha, self.kappa - alpha
