"""What a measurement costs, in training steps and in memory, before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cobasim.errors import InputError
from cobatrain.exact import ExactAnswers
from cobatrain.gradients.alternatives import alternatives_of
from cobatrain.gradients.decision import Decision
from cobatrain.gradients.features import ROWS
from cobatrain.gradients.options import GradientOptions, Method
from cobatrain.gradients.per_prompt import only_parameters, trained_parameters
from cobatrain.gradients.rollout_features import PROMPTS
from cobatrain.heap import return_freed_memory
from cobatrain.learner import LanguageModelLearner

TRIED = 16  # prompts by which the number of alternatives is known beforehand
GIB = 2.0**30


@dataclass(frozen=True)
class Cost:
    """What a measurement costs.

    Attributes:
        steps: passes forward and backward over those of a training step. An exact feature takes one
            for each alternative (some prompts tell how many), and those from which directions are
            found are computed twice; one from rollouts takes as many as there are rollouts. A
            group's halves are as many as its rollouts, and groups are measured twice.
        parameters: that are measured.
        gradients: GiB of things as large as the measured part of the model, where the model is.
        sketches: GiB of sketches and coordinates, in the memory of the machine.
    """

    steps: float
    parameters: int
    gradients: float
    sketches: float

    def line(self) -> str:
        """In words."""
        return (
            f"costs the passes of about {self.steps:.0f} training steps, and a sketch of each "
            f"gradient, which takes longer than its pass in a small model; needs about "
            f"{self.gradients:.2g} GiB beside the model for {self.parameters:,} measured "
            f"parameters, and {self.sketches:.2g} GiB of memory for sketches"
        )


def plan_cost(learner: LanguageModelLearner, decision: Decision) -> Cost:
    """About what a measurement costs.

    Raises InputError if the sketches do not fit in the memory that is free, where this is known.
    """
    options, chosen, rollouts = decision.options, decision.chosen, decision.rollouts
    size = len(chosen.prompts)
    groups = min(options.groups, chosen.pool.size)
    if decision.answers is None:
        total, features = 0.0, float(rollouts * size)
    else:
        total = _alternatives(learner, decision.answers, options) * size
        features = total + min(total, ROWS * options.rank)
    sketches = sketch_memory(options, size, groups, total)
    _check_memory(sketches)
    with only_parameters(learner.model, options.parameters):
        measured = trained_parameters(learner.model)
        numbers, width = sum(p.numel() for p in measured), measured[0].element_size()
    return Cost(
        steps=(features + 2 * groups * rollouts) / learner.config.loop.total_budget,
        parameters=numbers,
        gradients=gradient_memory(options.method, numbers, width),
        sketches=sketches,
    )


def gradient_memory(method: Method, parameters: float, width: int = 4) -> float:
    """GiB that a measurement holds beside the model at its peak, activations left out.

    Args:
        method: ``exact`` or ``rollouts``.
        parameters: that are measured.
        width: bytes of a number of their gradients: 4, or 2 of a model in bfloat16.

    Second moments take 4 bytes a parameter and the signs of a sketch one. Groups take three
    gradients: that of one half, and the sum and the next micro-batch of the other. Features from
    rollouts take those of two halves, both again in float32, and the signs of a second sketch.
    """
    each = 4 + 1 + 3 * width
    if method == "rollouts":
        each = max(each, 4 + 2 + 2 * width + 2 * 4)
    return each * parameters / GIB


def sketch_memory(
    options: GradientOptions, prompts: int, groups: int, alternatives: float
) -> float:
    """GiB of sketches and coordinates; each number counts twice, as parts and joined.

    Args:
        options: with the method ``exact`` or ``rollouts``.
        prompts: n, training and held-out ones.
        groups: that are measured; each has the sketches of a mean and of noise.
        alternatives: of all prompts, N, with the method ``exact``.
    """
    sketches = 2 * groups
    if options.method == "rollouts":
        shared = min(options.rank, prompts) + min(options.plain_rank, prompts)
        sketches += 2 * PROMPTS * shared
    else:
        sketches += prompts + ROWS * options.rank
    return 8 * (sketches * options.dim + alternatives * (options.rank + options.rest)) / GIB


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


def _check_memory(needed: float) -> None:
    free = free_memory()
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
