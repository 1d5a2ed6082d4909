"""Which prompts, then how many rollouts: GRESO's choice of prompts, ``signal``'s budgets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cobasim.allocation.base import Allocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.methods.signal import Signal
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter_of
from cobasim.allocation.peers.greso import Greso
from cobasim.arrays import IntArray


@dataclass(frozen=True, kw_only=True)
class SignalSkip(Allocator):
    """Skips prompts that keep giving one outcome, and divides the rollouts as ``signal`` does.

    ``greso`` (arXiv 2506.02177) chooses the prompts: it skips them by their streaks of one outcome
    and replaces them from further batches. What greso would then divide equally is divided by
    ``signal`` (docs/signal.md). Parameters are those of both.
    """

    source: ClassVar[str] = "this project, docs/signal.md, on GRESO, arXiv 2506.02177"
    estimator: ClassVar[str] = Signal.estimator
    exact: ClassVar[bool] = Greso.exact
    needs: ClassVar[frozenset[str]] = Greso.needs | Signal.needs

    ratio: float = parameter_of(Signal, "ratio")
    weighting: str | None = parameter_of(Signal, "weighting")
    update: str = parameter_of(Signal, "update")
    floor: float = parameter_of(Greso, "floor")
    start: float = parameter_of(Greso, "start")
    delta: float = parameter_of(Greso, "delta")
    target: float = parameter_of(Greso, "target")
    batches: int = parameter_of(Greso, "batches")

    @cached_property
    def choice(self) -> Greso:
        """Chooses the prompts."""
        return Greso(
            floor=self.floor,
            start=self.start,
            delta=self.delta,
            target=self.target,
            batches=self.batches,
        )

    @cached_property
    def division(self) -> Signal:
        """Divides the rollouts among the chosen prompts."""
        return Signal(ratio=self.ratio, weighting=self.weighting, update=self.update)

    def candidates(self) -> int:
        """``batches``."""
        return self.choice.candidates()

    def memory(self, num_prompts: int) -> dict[str, NDArray[Any]]:
        """The memory of ``greso``."""
        return self.choice.memory(num_prompts)

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """See the class."""
        budgets = self.choice(obs, limits)
        chosen = budgets > 0
        if np.count_nonzero(chosen) > 1:
            share = Limits(int(budgets.sum()), limits.low, limits.high)
            budgets[chosen] = self.division(obs.take(chosen), share)
        return budgets

    def learn(self, obs: Observation, limits: Limits, budgets: IntArray, passes: IntArray) -> None:
        """Greso's streaks and rates."""
        self.choice.learn(obs, limits, budgets, passes)
