"""One measurement of a policy's gradients: groups, then features, then what is stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.gradients import MeasuredGradients, PartsReport, measure_parts
from cobatrain.exact import exact_log_rates
from cobatrain.gradients.chosen import choose
from cobatrain.gradients.features import FeatureMeasurement
from cobatrain.gradients.group import EDGE
from cobatrain.gradients.method import with_method
from cobatrain.gradients.metric import Metric
from cobatrain.gradients.options import GradientOptions
from cobatrain.gradients.per_prompt import only_parameters, trained_parameters
from cobatrain.gradients.prompt_rollouts import sample_prompts
from cobatrain.gradients.rollout_features import RolloutFeatures
from cobatrain.gradients.rollout_groups import MeasuredNoise, RolloutGroups, rollouts_of
from cobatrain.gradients.storing import Findings, stored
from cobatrain.learner import LanguageModelLearner
from cobatrain.sketch import CountSketch


@dataclass(frozen=True)
class Measurement:
    """A file's contents and the parts of the gradient."""

    measured: MeasuredGradients
    parts: PartsReport


def measure_gradients(
    learner: LanguageModelLearner,
    options: GradientOptions,
    on_done: Callable[[str, int, int], None] = lambda what, done, total: None,
    *,
    step: int = 0,
) -> Measurement:
    """Measure the policy of a learner; its run, its random streams and its weights stay the same.

    Args:
        learner: its task decides whether features can be exact (``GradientOptions.method``).
        options: what is measured.
        on_done: gets the name of a phase, what is done of it, and its total.
        step: of the run whose checkpoint the learner's weights are.

    Raises InputError for ``exact`` on a task that does not allow it, a model without trained
    parameters, a pool without prompts that are mixed often enough, and gradients that are not
    finite.
    """
    began = time.perf_counter()
    options, why = with_method(learner, options)
    model = learner.model
    training = model.training
    model.eval()
    try:
        with only_parameters(model, options.parameters):
            found, more = _measured(learner, options, on_done)
            more |= {"why this method": why, "step": step, "seconds": time.perf_counter() - began}
            return Measurement(stored(learner, options, found, more), found.parts)
    finally:
        model.train(training)


def _measured(
    learner: LanguageModelLearner,
    options: GradientOptions,
    on_done: Callable[[str, int, int], None],
) -> tuple[Findings, dict[str, Any]]:
    """What was found, and what the file says of the method."""
    chosen, count = choose(learner, options), rollouts_of(learner, options)
    sizes = [parameter.numel() for parameter in trained_parameters(learner.model)]
    sketch = CountSketch(sizes, options.dim, options.seed)

    def noise_of(rates: FloatArray, before: int) -> tuple[Metric, MeasuredNoise]:
        groups = RolloutGroups(learner, options, sketch, chosen, rates, before, on_done)
        metric = groups.metric()
        return metric, groups.measure(metric)

    more: dict[str, Any]
    if options.method == "exact":
        answers = learner.exact_answers(chosen.prompts)
        temperature = learner.config.sampling.temperature
        rates = np.exp(exact_log_rates(learner.model, answers, temperature))
        rates = np.clip(rates, EDGE, 1.0 - EDGE)
        metric, noise = noise_of(rates, before=0)
        exactly = FeatureMeasurement(learner, options, sketch, metric, answers, noise)
        features = exactly.measure(on_done)
        more = {"least probability of an alternative": options.least}
    else:
        sampled = sample_prompts(learner, chosen, count, on_done)
        rates = sampled.rates
        sampled.check()
        metric, noise = noise_of(rates, before=count)
        measuring = RolloutFeatures(learner, options, sketch, metric, chosen, sampled)
        features = measuring.measure(on_done)
        more = sampled.account()
    parts = measure_parts(noise.groups, np.random.default_rng([options.seed, 1]))
    return Findings(chosen, rates, metric, noise, features, parts), more
