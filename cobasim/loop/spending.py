"""One step's rollouts: an allocator's rounds, driven and checked."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from cobasim.allocation import Allocator, Limits, Observation
from cobasim.arrays import IntArray
from cobasim.errors import InputError
from cobasim.loop.learner import Learner, SamplesInRounds


@dataclass
class Spent:
    """What one step has spent on its m candidates.

    Attributes:
        budgets, passes: (m,) rollouts and how many of them passed, over all rounds.
        rounds: rounds that sampled anything.
        seconds: spent in the allocator.
    """

    budgets: IntArray
    passes: IntArray
    rounds: int = 0
    seconds: float = 0.0


def spend(learner: Learner, allocator: Allocator, obs: Observation, limits: Limits) -> Spent:
    """Let an allocator spend a step's rollouts on the observed prompts (m,).

    A group is the union of its rounds. Raises InputError if the allocator spends nothing, or not
    what it says it spends (``Allocator.exact``).
    """
    size = obs.pass_rate.size
    spent = Spent(np.zeros(size, np.int64), np.zeros(size, np.int64))
    began = time.perf_counter()
    plan = allocator.rounds(obs, limits)
    asked = next(plan, None)
    spent.seconds += time.perf_counter() - began
    while asked is not None:
        passes = _sample(learner, allocator, obs, asked, spent)
        spent.budgets += asked
        spent.passes += passes
        began = time.perf_counter()
        try:
            asked = plan.send(passes)
        except StopIteration:
            asked = None
        spent.seconds += time.perf_counter() - began
    _check(allocator, spent.budgets, limits)
    return spent


def _sample(
    learner: Learner, allocator: Allocator, obs: Observation, asked: IntArray, spent: Spent
) -> IntArray:
    """Passes (m,) of one round."""
    assert obs.prompts is not None
    prompts = obs.prompts
    whole = isinstance(asked, np.ndarray) and asked.dtype.kind in "iu"
    if not whole or asked.shape != prompts.shape or bool(np.any(asked < 0)):
        raise InputError(
            f"{type(allocator).__name__} must give {prompts.size} whole budgets >= 0, got {asked!r}"
        )
    once = allocator.exact and "rounds" not in allocator.needs
    active = np.ones(prompts.shape, np.bool_) if once else asked > 0
    passes = np.zeros(prompts.size, dtype=np.int64)
    if not active.any():
        return passes
    sample = learner.rollout
    if spent.rounds > 0:
        assert isinstance(learner, SamplesInRounds)
        sample = learner.rollout_more
    spent.rounds += 1
    if active.all():
        return sample(prompts, asked)
    passes[active] = sample(prompts[active], asked[active])
    return passes


def _check(allocator: Allocator, budgets: IntArray, limits: Limits) -> None:
    name = type(allocator).__name__
    total, least, most = int(budgets.sum()), int(budgets.min()), int(budgets.max())
    if total == 0:
        raise InputError(f"{name} spent no rollouts in a step; it must spend at least one")
    if most > limits.high:
        raise InputError(f"{name} gave a prompt {most} rollouts, above high ({limits.high})")
    if allocator.exact and (total != limits.total or least < limits.low):
        raise InputError(
            f"{name} spent {total} rollouts, at least {least} on each prompt, where a total of "
            f"{limits.total} and at least {limits.low} were asked for: correct it, or set "
            "`exact = False`"
        )
