"""What a measurement costs, in training steps and in memory, before it begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cobasim.errors import InputError
from cobatrain.exact import ExactAnswers
from cobatrain.gradients.alternatives import alternatives_of
from cobatrain.gradients.decision import Decision
from cobatrain.gradients.features import ROWS
from cobatrain.gradients.options import GradientOptions
from cobatrain.gradients.rollout_features import PROMPTS
from cobatrain.heap import return_freed_memory
from cobatrain.learner import LanguageModelLearner

TRIED = 16  # prompts by which the number of alternatives is known beforehand
GIB = 2.0**30


def plan_steps(learner: LanguageModelLearner, decision: Decision) -> float:
    """About how many training steps a measurement costs: backward passes over those of a step.

    An exact feature takes one for each alternative (some prompts tell how many), and those from
    which directions are found are computed twice; one from rollouts takes as many as there are
    rollouts. A group's halves are as many as its rollouts, and groups are measured twice.

    Raises InputError if the features do not fit in the memory that is free, where this is known.
    """
    options, chosen, rollouts = decision.options, decision.chosen, decision.rollouts
    size = len(chosen.prompts)
    groups = min(options.groups, chosen.pool.size)
    sketches = 2 * groups  # of means and of noise
    if decision.answers is None:
        features = float(rollouts * size)
        shared = min(options.rank, size) + min(options.plain_rank, size)
        _check_memory(sketches + 2 * PROMPTS * shared, 0.0, options)
    else:
        total = _alternatives(learner, decision.answers, options) * size
        _check_memory(sketches + size + ROWS * options.rank, total, options)
        features = total + min(total, ROWS * options.rank)
    return (features + 2 * groups * rollouts) / learner.config.loop.total_budget


def _alternatives(
    learner: LanguageModelLearner, answers: ExactAnswers, options: GradientOptions
) -> float:
    """Mean number of alternatives of a prompt, from some of them."""
    some = np.linspace(0, answers.size - 1, TRIED).astype(int).tolist()
    temperature = learner.config.sampling.temperature
    with torch.no_grad():
        found = [
            alternatives_of(learner.model, answers, i, temperature, options.least).odds.size
            for i in some
        ]
    return float(np.mean(found))


def _check_memory(sketches: int, alternatives: float, options: GradientOptions) -> None:
    """Each number twice, as parts and joined: sketches, and coordinates of alternatives."""
    numbers = sketches * options.dim + alternatives * (options.rank + options.rest)
    needed, free = 8 * numbers / GIB, free_memory()
    if free is not None and needed > free:
        raise InputError(
            f"the measurement needs about {needed:,.1f} GiB of memory, {free:.1f} are free: lower "
            "--prompts, --groups, --dim, --rank or --rest"
        )


def free_memory() -> float | None:
    """GiB that this process may still take, where Linux says so."""
    return_freed_memory()
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kib = next(line for line in lines if line.startswith("MemAvailable:")).split()[1]
    except (OSError, StopIteration):
        return None
    return float(kib) * 1024 / GIB
