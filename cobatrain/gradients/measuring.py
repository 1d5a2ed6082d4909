"""One measurement of a policy's gradients: groups, then features, then what is stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cobasim.errors import InputError
from cobasim.gradients import MeasuredGradients, PartsReport, measure_parts
from cobatrain.gradients.chosen import choose
from cobatrain.gradients.features import FeatureMeasurement
from cobatrain.gradients.options import GradientOptions
from cobatrain.gradients.per_prompt import trained_parameters
from cobatrain.gradients.rollout_groups import RolloutGroups, rollouts_of
from cobatrain.gradients.sketch import CountSketch
from cobatrain.gradients.storing import Findings, stored
from cobatrain.learner import LanguageModelLearner


@dataclass(frozen=True)
class Measurement:
    """A file's contents and the parts of the gradient."""

    measured: MeasuredGradients
    parts: PartsReport


def plan_steps(learner: LanguageModelLearner, options: GradientOptions) -> float:
    """About how many training steps a measurement costs: backward passes over those of a step.

    A feature is one backward pass of one response, a group's halves are as many as its rollouts,
    and groups are measured twice.
    """
    config = learner.config
    size = min(options.prompts or learner.num_prompts, learner.num_prompts)
    heldout = sum(min(len(p), config.evaluation.prompts) for p in learner.task.heldout.values())
    rollouts = options.rollouts or rollouts_of(learner)
    groups = min(options.groups, learner.num_prompts)
    return (size + heldout + 1.25 * groups * rollouts) / config.loop.total_budget


def measure_gradients(
    learner: LanguageModelLearner,
    options: GradientOptions,
    on_done: Callable[[str, int, int], None] = lambda what, done, total: None,
    *,
    step: int = 0,
) -> Measurement:
    """Measure the policy of a learner; its run, its random streams and its weights stay the same.

    Args:
        learner: of a task whose reward is an exact match.
        options: what is measured.
        on_done: gets the name of a phase, what is done of it, and its total.
        step: of the run whose checkpoint the learner's weights are.

    Raises InputError for a task of another kind, a model without trained parameters, a pool without
    prompts that are mixed often enough, and gradients that are not finite.
    """
    began = time.perf_counter()
    model = learner.model
    parameters = trained_parameters(model)
    if not parameters:
        raise InputError("the model has no parameters to train: all are frozen")
    training = model.training
    model.eval()
    try:
        chosen = choose(learner, options)
        sketch = CountSketch([p.numel() for p in parameters], options.dim, options.seed)
        groups = RolloutGroups(learner, options, sketch, chosen, on_done)
        metric = groups.metric()
        noise = groups.measure(metric)
        measuring = FeatureMeasurement(learner, options, sketch, metric, chosen, noise)
        features = measuring.measure(on_done)
    finally:
        model.train(training)
    parts = measure_parts(noise.groups, np.random.default_rng([options.seed, 1]))
    found = Findings(chosen, metric, noise, features, parts)
    seconds = time.perf_counter() - began
    return Measurement(stored(learner, options, found, {"step": step, "seconds": seconds}), parts)
