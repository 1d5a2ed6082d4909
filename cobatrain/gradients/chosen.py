"""The prompts of a measurement, with their true pass rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.errors import InputError
from cobatrain.exact import ExactAnswers, exact_log_rates
from cobatrain.gradients.group import EDGE
from cobatrain.gradients.options import GradientOptions
from cobatrain.learner import LanguageModelLearner, evaluated


@dataclass(frozen=True)
class Chosen:
    """The prompts of a measurement: n, those to train on first.

    Attributes:
        pool: (P,) their places in the task's train set.
        rates: (n,) true pass rates, kept off 0 and 1.
        levels: (n,) names.
        heldout: (n,) bool.
        answers: the passing response of each.
    """

    pool: IntArray
    rates: FloatArray
    levels: np.ndarray[Any, Any]
    heldout: BoolArray
    answers: ExactAnswers


def choose(learner: LanguageModelLearner, options: GradientOptions) -> Chosen:
    """Training prompts at random, and the held-out ones that a run evaluates.

    Raises InputError for a task whose true pass rates cannot be computed, and for another task than
    that of ``options.like``.
    """
    task, config = learner.task, learner.config
    if options.like is not None and options.like.info["task fingerprint"] != task.fingerprint():
        raise InputError("--like is a measurement of another task, or of other data")
    pool = np.arange(len(task.train))
    if options.prompts is not None and options.prompts < pool.size:
        rng = np.random.default_rng([options.seed, 0])
        pool = np.sort(rng.choice(pool, options.prompts, replace=False))
    prompts = [task.train[int(i)] for i in pool]
    for _, held in sorted(task.heldout.items()):
        prompts += [held[int(i)] for i in evaluated(len(held), config.evaluation.prompts)]
    answers = learner.exact_answers(prompts)
    log_rates = exact_log_rates(learner.model, answers, config.sampling.temperature)
    return Chosen(
        pool=pool,
        rates=np.clip(np.exp(log_rates), EDGE, 1.0 - EDGE),
        levels=np.array([prompt.level for prompt in prompts]),
        heldout=np.arange(len(prompts)) >= pool.size,
        answers=answers,
    )
