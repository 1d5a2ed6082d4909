"""One step's rollouts: an allocator's rounds, driven and checked."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from cobasim.allocation import Allocator, Limits, Observation, check_spent, check_whole
from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.loop.learner import Learner, SamplesInRounds


@dataclass
class Spent:
    """What one step has spent on its m candidates.

    Attributes:
        budgets, passes: (m,) rollouts and how many of them passed, over all rounds.
        tokens: (m,) of their responses; None: not counted.
        rounds: rounds that sampled anything.
        seconds: spent in the allocator.
    """

    budgets: IntArray
    passes: IntArray
    tokens: FloatArray | None = None
    rounds: int = 0
    seconds: float = 0.0

    def take(self, index: BoolArray) -> Spent:
        """The same of a part of the candidates (``index``: boolean mask, (m,))."""
        tokens = None if self.tokens is None else self.tokens[index]
        return replace(self, budgets=self.budgets[index], passes=self.passes[index], tokens=tokens)


def spend(learner: Learner, allocator: Allocator, obs: Observation, limits: Limits) -> Spent:
    """Let an allocator spend a step's rollouts on the observed prompts (m,).

    A group is the union of its rounds. Raises InputError if the allocator spends nothing, or not
    what it says it spends (``Allocator.exact``).
    """
    spent: Spent | None = None
    rounds, seconds = 0, 0.0
    began = time.perf_counter()
    plan = allocator.rounds(obs, limits)
    asked = next(plan, None)
    while asked is not None:
        seconds += time.perf_counter() - began
        passes = _sample(learner, allocator, obs, asked, first=rounds == 0)
        rounds += int(passes is not None)
        if passes is None:
            passes = np.zeros(asked.size, dtype=np.int64)
        if spent is None:
            spent = Spent(asked, passes)
        else:
            spent = Spent(spent.budgets + asked, spent.passes + passes)
        began = time.perf_counter()
        try:
            asked = plan.send(passes)
        except StopIteration:
            asked = None
    seconds += time.perf_counter() - began
    name = type(allocator).__name__
    if spent is None or rounds == 0:
        raise InputError(f"{name} spent no rollouts in a step; it must spend at least one")
    check_spent(name, spent.budgets, limits, allocator.exact)
    spent.rounds, spent.seconds = rounds, seconds
    return spent


def _sample(
    learner: Learner, allocator: Allocator, obs: Observation, asked: IntArray, *, first: bool
) -> IntArray | None:
    """Passes (m,) of one round; None if it asks for no rollout."""
    assert obs.prompts is not None
    prompts = obs.prompts
    least = check_whole(type(allocator).__name__, asked, prompts.size)
    sample = learner.rollout
    if not first:
        assert isinstance(learner, SamplesInRounds)
        sample = learner.rollout_more
    if least > 0 or (allocator.exact and "rounds" not in allocator.needs):
        return _checked(learner, sample(prompts, asked), asked)
    active = asked > 0
    if not active.any():
        return None
    passes = np.zeros(prompts.size, dtype=np.int64)
    passes[active] = _checked(learner, sample(prompts[active], asked[active]), asked[active])
    return passes


def _checked(learner: Learner, passes: IntArray, asked: IntArray) -> IntArray:
    """The passes (m,) that a learner reports. Raises InputError unless 0 <= passes <= asked."""
    if not ((passes >= 0) & (passes <= asked)).all():
        raise InputError(
            f"{type(learner).__name__} reports passes from {passes.min()} to {passes.max()} of "
            f"budgets from {asked.min()} to {asked.max()}: they must be 0 to the prompt's budget"
        )
    return passes
