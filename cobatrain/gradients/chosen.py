"""The prompts of a measurement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import BoolArray, IntArray
from cobasim.errors import InputError
from cobatrain.gradients.options import GradientOptions
from cobatrain.learner import LanguageModelLearner, evaluated
from cobatrain.tasks import Prompt


@dataclass(frozen=True)
class Chosen:
    """The prompts of a measurement: n, those to train on first.

    Attributes:
        pool: (P,) their places in the task's train set.
        held: name and places (k,) of each held-out set, in the order of the prompts.
        prompts: n.
        levels: (n,) names.
        heldout: (n,) bool.
    """

    pool: IntArray
    held: list[tuple[str, IntArray]]
    prompts: list[Prompt]
    levels: np.ndarray[Any, Any]
    heldout: BoolArray

    def sets(self) -> Iterator[tuple[str | None, IntArray]]:
        """Name and places of each set; the train set, first, has no name."""
        yield None, self.pool
        yield from self.held


def choose(learner: LanguageModelLearner, options: GradientOptions) -> Chosen:
    """Training prompts at random, and the held-out ones that a run evaluates.

    Raises InputError for another task than that of ``options.like``.
    """
    task, config = learner.task, learner.config
    if options.like is not None and options.like.info["task fingerprint"] != task.fingerprint():
        raise InputError("--like is a measurement of another task, or of other data")
    pool = np.arange(len(task.train))
    if options.prompts is not None and options.prompts < pool.size:
        rng = np.random.default_rng([options.seed, 0])
        pool = np.sort(rng.choice(pool, options.prompts, replace=False))
    held = [
        (name, evaluated(len(prompts), config.evaluation.prompts))
        for name, prompts in sorted(task.heldout.items())
    ]
    prompts = [task.train[int(i)] for i in pool]
    prompts += [task.heldout[name][int(i)] for name, places in held for i in places]
    return Chosen(
        pool=pool,
        held=held,
        prompts=prompts,
        levels=np.array([prompt.level for prompt in prompts]),
        heldout=np.arange(len(prompts)) >= pool.size,
    )
