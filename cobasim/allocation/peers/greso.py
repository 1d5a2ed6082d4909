"""GRESO: prompts that keep giving one outcome are skipped before rollout (arXiv 2506.02177)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cobasim.allocation.base import Allocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.allocation.peers.dapo import fixed_size
from cobasim.arrays import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Greso(Allocator):
    """GRESO: skip with probability 1 - max(p^z, floor), z visits of one outcome in a row.

    p adapts: one rate for prompts that always pass and one for those that always fail, each
    lowered by ``delta`` after a step with more such groups than its target share (a third and two
    thirds of ``target``), else raised. Skipped prompts are replaced from further batches until M
    are chosen or ``batches`` are used up; with 1 batch none is replaced, and the step costs less.
    Every chosen prompt gets N = total / M. Departure: the paper also drops and refills after
    generation, as DAPO does. start, delta, target and batches are our reading.
    """

    source: ClassVar[str] = "GRESO, arXiv 2506.02177"
    needs: ClassVar[frozenset[str]] = frozenset({"randomness"})
    exact: ClassVar[bool] = False
    floor: float = parameter(0.01, "least chance of a visit", above=0, at_most=1)
    start: float = parameter(0.5, "p at the start", above=0, at_most=1)
    delta: float = parameter(0.01, "change of p in a step", at_least=0, at_most=1)
    target: float = parameter(0.25, "wanted share of groups of one outcome", at_least=0, at_most=1)
    batches: int = parameter(4, "batches to choose from in a step", at_least=1, at_most=100)

    def candidates(self) -> int:
        """``batches``."""
        return self.batches

    def memory(self, num_prompts: int) -> dict[str, NDArray[Any]]:
        """Streaks, positive of passes and negative of failures; and p of the two kinds."""
        return {
            "streak": np.zeros(num_prompts, dtype=np.int64),
            "explore": np.full(2, self.start),
        }

    def visit_chance(self, obs: Observation) -> FloatArray:
        """(m,) the chance that a prompt is not skipped."""
        if obs.memory is None or obs.prompts is None:
            return np.ones(obs.pass_rate.shape)
        streak = obs.memory["streak"][obs.prompts]
        passing, failing = obs.memory["explore"]
        rate = np.where(streak > 0, passing, failing)
        return np.where(streak == 0, 1.0, np.maximum(rate ** np.abs(streak), self.floor))

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """See the class."""
        wanted = int(np.count_nonzero(obs.batches == 0))
        limits.for_batch(wanted)
        chance = self.visit_chance(obs)
        lots = np.zeros(chance.shape) if obs.rng is None else obs.rng.random(chance.size)
        chosen = lots < chance
        if not chosen.any():
            chosen[np.argmax(chance)] = True
        chosen &= np.cumsum(chosen) <= wanted
        return np.where(chosen, fixed_size(wanted, limits), 0)

    def learn(self, obs: Observation, limits: Limits, budgets: IntArray, passes: IntArray) -> None:
        """Streaks and rates after a step."""
        assert obs.memory is not None
        assert obs.prompts is not None
        tried = budgets > 0
        right, wrong = tried & (passes == budgets), tried & (passes == 0)
        streak = obs.memory["streak"]
        before = streak[obs.prompts]
        after = np.where(right, np.maximum(before, 0) + 1, np.minimum(before, 0) - 1)
        streak[obs.prompts] = np.where(right | wrong, after, np.where(tried, 0, before))
        number = np.count_nonzero(tried)
        shares = np.array([right.sum(), wrong.sum()]) / max(number, 1)
        targets = self.target * np.array([1.0, 2.0]) / 3.0
        rates = obs.memory["explore"]
        rates += np.where(shares > targets, -self.delta, self.delta)
        np.clip(rates, self.floor, 1.0, out=rates)
