"""Rollouts of all prompts of a measurement, for pass rates and features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.gradients import FEWEST
from cobatrain.engines import Rollouts
from cobatrain.gradients.chosen import Chosen
from cobatrain.learner import LanguageModelLearner, Sampled
from cobatrain.tasks import passed

PHASE = "rollouts"
RULE = (
    "the mean feature of the measured prompts of their level (of all, if there are fewer than "
    f"{FEWEST}) and a part of their own, as long as the measured prompts of the nearest pass rates"
)


@dataclass(frozen=True)
class PromptRollouts:
    """``count`` rollouts of each of n prompts, sampled once and kept.

    Attributes:
        count: of each prompt.
        passes: (n,) how many passed.
    """

    count: int
    passes: IntArray
    _parts: list[Sampled]
    _place: list[tuple[int, int]]

    @property
    def rates(self) -> FloatArray:
        """(n,) (passes + 1/2) / (rollouts + 1): the mean of Jeffreys' posterior, never 0 or 1."""
        return np.asarray((self.passes + 0.5) / (self.count + 1.0))

    @property
    def measurable(self) -> BoolArray:
        """(n,) whether there are two passes and two failures: one for each half."""
        return np.asarray((self.passes >= 2) & (self.count - self.passes >= 2))

    def check(self) -> None:
        """Raise InputError if fewer than 8 prompts can be measured: before their gradients are."""
        found = int(self.measurable.sum())
        if found < FEWEST:
            raise InputError(
                f"only {found} of {self.passes.size} prompts have two passes and two failures in "
                f"{self.count} rollouts, and at least {FEWEST} are needed: give more --rollouts, "
                "or prompts that are less hard or easy"
            )

    def account(self) -> dict[str, Any]:
        """What the file says of them: plain values."""
        return {
            "rollouts of a prompt": self.count,
            "prompts whose features were measured": int(self.measurable.sum()),
            "prompts that never passed": int((self.passes == 0).sum()),
            "prompts that never failed": int((self.passes == self.count).sum()),
            "prompts without two passes and two failures": int((~self.measurable).sum()),
            "rule for these": RULE,
        }

    def of(self, number: int) -> tuple[Rollouts, IntArray, BoolArray]:
        """Rollouts of one prompt: all that were sampled with it, which are its own, and success."""
        part, place = self._place[number]
        sampled = self._parts[part]
        rows = np.flatnonzero(sampled.rollouts.prompt == place)
        return sampled.rollouts, rows, passed(sampled.rewards[rows])


def sample_prompts(
    learner: LanguageModelLearner,
    chosen: Chosen,
    count: int,
    on_done: Callable[[str, int, int], None],
) -> PromptRollouts:
    """``count`` rollouts of every chosen prompt, about a training step's rollouts at a time."""
    step = max(1, learner.config.loop.total_budget // count)
    parts: list[Sampled] = []
    place: list[tuple[int, int]] = []
    passes: list[FloatArray] = []
    for name, numbers in chosen.sets():
        for begin in range(0, numbers.size, step):
            some = numbers[begin : begin + step]
            sampled = learner.sample_apart(some, count, heldout=name)
            passes.append(passed(sampled.rewards).reshape(some.size, count).sum(axis=1))
            place += [(len(parts), k) for k in range(some.size)]
            parts.append(sampled)
            on_done(PHASE, len(place), len(chosen.prompts))
    return PromptRollouts(count, np.concatenate(passes).astype(np.int64), parts, place)
