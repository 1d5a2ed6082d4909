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

    Raises InputError for another model, task or held-out prompts than those of ``options.like``.
    """
    task, config = learner.task, learner.config
    if options.like is not None:
        _check_like(options.like.info, learner)
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
    like, heldout = options.like, np.arange(len(prompts)) >= pool.size
    if like is not None and not np.array_equal(like.heldout, heldout):
        raise InputError(
            f"--like has {np.count_nonzero(~like.heldout):,} training and "
            f"{np.count_nonzero(like.heldout):,} held-out prompts, this config gives {pool.size:,} "
            f"and {np.count_nonzero(heldout):,}: give the same evaluation.prompts"
        )
    return Chosen(
        pool=pool,
        held=held,
        prompts=prompts,
        levels=np.array([prompt.level for prompt in prompts]),
        heldout=heldout,
    )


def _check_like(info: dict[str, Any], learner: LanguageModelLearner) -> None:
    if info["task fingerprint"] != learner.task.fingerprint():
        raise InputError("--like is a measurement of another task, or of other data")
    size = sum(parameter.numel() for parameter in learner.model.parameters())
    if info["parameters of the model"] != size:
        raise InputError(
            f"--like is a measurement of another model: {info['model']}, with "
            f"{info['parameters of the model']:,} parameters, where this one has {size:,}"
        )
