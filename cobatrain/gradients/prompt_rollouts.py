"""Rollouts of prompts, sampled once by all ranks together and kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.gradients import FEWEST
from cobatrain.engines import Rollouts
from cobatrain.gradients.ledger import Arrays
from cobatrain.gradients.tools import Tools
from cobatrain.learner import Sampled
from cobatrain.parallel import Parallel
from cobatrain.tasks import passed

RULE = (
    "the mean feature of the measured prompts of their level (of all, if there are fewer than "
    f"{FEWEST}) and a part of their own, as long as the measured prompts of the nearest pass rates"
)


@dataclass(frozen=True)
class PromptRollouts:
    """``count`` rollouts of each of n prompts.

    Attributes:
        count: of each prompt.
        passes: (n,) how many passed.
    """

    count: int
    passes: IntArray
    _parts: list[tuple[Rollouts, FloatArray]]
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
        rollouts, rewards = self._parts[part]
        rows = np.flatnonzero(rollouts.prompt == place)
        return rollouts, rows, passed(rewards[rows])

    @property
    def length(self) -> float:
        """Mean tokens of a response."""
        lengths = np.concatenate([rollouts.lengths for rollouts, _ in self._parts])
        return float(np.maximum(lengths, 1).mean())


def sample_prompts(
    tools: Tools,
    phase: str,
    sets: Iterable[tuple[str | None, IntArray]],
    before: int = 0,
) -> PromptRollouts:
    """As many rollouts of each prompt as were decided, about a training step's at a time.

    Args:
        tools: of the measurement.
        phase: its name.
        sets: names and places of prompts: see ``Chosen.sets``.
        before: rollouts of each of them that were sampled already.
    """
    learner, count = tools.learner, tools.decision.rollouts
    step = max(1, learner.config.loop.total_budget // count)
    batches = [
        (name, numbers[begin : begin + step])
        for name, numbers in sets
        for begin in range(0, numbers.size, step)
    ]
    size = sum(some.size for _, some in batches)

    def work(batch: tuple[str | None, IntArray]) -> Arrays:
        name, some = batch
        sampled = learner.sample_apart(some, count, heldout=name, before=before)
        return to_arrays(*whole(sampled, learner.parallel))

    parts: list[tuple[Rollouts, FloatArray]] = []
    place: list[tuple[int, int]] = []
    passes: list[FloatArray] = []
    found = tools.ledger.each(phase, batches, work, alike=True)
    for (_, some), arrays in zip(batches, found, strict=True):
        rollouts, rewards = from_arrays(arrays)
        passes.append(passed(rewards).reshape(some.size, count).sum(axis=1))
        place += [(len(parts), k) for k in range(some.size)]
        parts.append((rollouts, rewards))
        tools.on_done(phase, len(place), size)
    return PromptRollouts(count, np.concatenate(passes).astype(np.int64), parts, place)


def whole(sampled: Sampled, parallel: Parallel) -> tuple[Rollouts, FloatArray]:
    """All ranks' rollouts of a request with their rewards (n,), in the order of one process.

    Collective.
    """
    shares: list[tuple[Rollouts, FloatArray]] = parallel.gather((sampled.rollouts, sampled.rewards))
    if len(shares) == 1:
        return shares[0]
    prompt = np.concatenate([rollouts.prompt for rollouts, _ in shares])
    order = np.argsort(prompt, kind="stable")  # a group's rollouts are dealt in the order of ranks

    def joined(name: str) -> list[list[Any]]:
        rows = list(chain.from_iterable(getattr(rollouts, name) for rollouts, _ in shares))
        return [rows[i] for i in order]

    rollouts = Rollouts(
        prompt=prompt[order],
        tokens=joined("tokens"),
        log_probs=joined("log_probs"),
        finished=np.concatenate([rollouts.finished for rollouts, _ in shares])[order],
        prompt_tokens=shares[0][0].prompt_tokens,
    )
    return rollouts, np.concatenate([rewards for _, rewards in shares])[order]


def to_arrays(rollouts: Rollouts, rewards: FloatArray) -> Arrays:
    """Rollouts and their rewards as flat arrays."""
    prompts = [len(tokens) for tokens in rollouts.prompt_tokens]
    return {
        "prompt": rollouts.prompt,
        "lengths": rollouts.lengths,
        "tokens": np.array([*chain.from_iterable(rollouts.tokens)], dtype=np.int64),
        "log_probs": np.array([*chain.from_iterable(rollouts.log_probs)], dtype=np.float64),
        "finished": rollouts.finished,
        "prompt_lengths": np.array(prompts, dtype=np.int64),
        "prompt_tokens": np.array([*chain.from_iterable(rollouts.prompt_tokens)], dtype=np.int64),
        "rewards": rewards,
    }


def from_arrays(arrays: Arrays) -> tuple[Rollouts, FloatArray]:
    """What ``to_arrays`` was given."""

    def cut(values: str, lengths: str) -> list[list[Any]]:
        ends = np.cumsum(arrays[lengths])
        return [part.tolist() for part in np.split(arrays[values], ends)[:-1]]

    rollouts = Rollouts(
        prompt=arrays["prompt"],
        tokens=cut("tokens", "lengths"),
        log_probs=cut("log_probs", "lengths"),
        finished=arrays["finished"],
        prompt_tokens=cut("prompt_tokens", "prompt_lengths"),
    )
    return rollouts, arrays["rewards"]
