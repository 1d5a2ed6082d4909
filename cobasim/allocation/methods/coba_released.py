"""What CoBA-RL's released allocator does beyond the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation.limits import Limits
from cobasim.allocation.methods.coba import Coba
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.allocation.solving import (
    CobaValue,
    ValueFunction,
    solve,
    spread_proportionally,
    uniform_budgets,
)
from cobasim.arrays import IntArray


@dataclass(frozen=True, kw_only=True)
class CobaReleased(Coba):
    """What CoBA-RL's released allocator does beyond the paper.

    Unseen prompts count as 0.5 (a batch of only unseen ones is uniform); p is clipped to
    [0.01, 0.99] in the value; tau = 3 + 9 min(1, Var(p) / 0.1667) over the explorable prompts,
    those with 0.05 <= p <= 0.99. After ``low`` for all, the solver gets a share r of what is left
    for the explorable prompts (0.8 if they are more than half of the batch, else 0.6 + 0.4 times
    their share); the rest goes to the very hard prompts (p < 0.05) in proportion to 1 - p, then
    evenly to the explorable, then evenly to the very easy ones. Departure: the released code
    underspends when all are full; here the sum is always the total.
    """

    source: ClassVar[str] = "released code of CoBA-RL, as described in docs/allocators.md"
    estimator: ClassVar[str] = "window"
    tau: float | None = parameter(  # type: ignore[assignment]
        None, "saturation scale; follows Var(p) by default", above=0
    )

    def shape(self, obs: Observation) -> tuple[float, float]:
        """Eq. 7; alpha = kappa - 2 before anything was seen."""
        if obs.failure_rate is None and self.alpha is None and not obs.seen.any():
            return self.kappa - 2.0, 2.0
        return super().shape(obs)

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """See the class."""
        if not obs.seen.any():
            return uniform_budgets(obs.pass_rate.size, limits)
        p = np.where(obs.seen, obs.pass_rate, 0.5)
        limits = limits.for_batch(p.size)
        low, high = limits.low, limits.high
        hard, easy = p < 0.05, p > 0.99
        explorable = ~(hard | easy)
        share = float(explorable.mean())
        left = limits.total - p.size * low
        budgets = np.full(p.size, low, dtype=np.int64)
        if explorable.any():
            part = int((0.8 if share > 0.5 else 0.6 + 0.4 * share) * left)
            part = min(part, int(explorable.sum()) * (high - low))
            wanted = Limits(low * int(explorable.sum()) + part, low, high)
            budgets[explorable] = solve(self.value(obs.take(explorable)), wanted, self.solver)
            left -= part
        for group, weights in (
            (hard, 1.0 - p),
            (explorable, np.zeros_like(p)),
            (easy, np.zeros_like(p)),
        ):
            room = np.where(group, high - budgets, 0)
            extra = spread_proportionally(min(left, int(room.sum())), weights, room)
            budgets += extra
            left -= int(extra.sum())
        return budgets

    def value(self, obs: Observation) -> ValueFunction:
        """The value function of explorable prompts; tau follows the variance of their rates."""
        p = np.where(obs.seen, obs.pass_rate, 0.5)
        alpha, beta = self.shape(obs)
        tau = self.tau
        if tau is None:
            tau = 3.0 + 9.0 * min(1.0, float(np.var(p)) / 0.1667)
        return CobaValue(np.clip(p, 0.01, 0.99), alpha=alpha, beta=beta, tau=tau)
