"""One measurement of a policy's gradients: groups, then features, then what is stored."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.gradients import MeasuredGradients, PartsReport, measure_parts
from cobatrain.exact import ExactAnswers, exact_log_rates
from cobatrain.gradients.decision import Decision
from cobatrain.gradients.features import FeatureMeasurement
from cobatrain.gradients.group import EDGE
from cobatrain.gradients.ledger import Arrays, Ledger, weights_digest
from cobatrain.gradients.metric import Metric
from cobatrain.gradients.per_prompt import only_parameters
from cobatrain.gradients.prompt_rollouts import sample_prompts
from cobatrain.gradients.rollout_features import RolloutFeatures
from cobatrain.gradients.rollout_groups import MeasuredNoise, RolloutGroups
from cobatrain.gradients.storing import Findings, parts_before, stored, versions
from cobatrain.gradients.tools import OnDone, Tools
from cobatrain.learner import LanguageModelLearner


@dataclass(frozen=True)
class Measurement:
    """A file's contents and the parts of the gradient."""

    measured: MeasuredGradients
    parts: PartsReport


def measure_gradients(
    learner: LanguageModelLearner,
    decision: Decision,
    on_done: OnDone = lambda what, done, total: None,
    *,
    step: int = 0,
    ledger: Ledger | None = None,
) -> Measurement:
    """Measure the policy of a learner; its run, its random streams and its weights stay the same.

    Args:
        learner: its task and model were asked what can be measured.
        decision: of ``decide``, for this learner.
        on_done: gets the name of a phase, what is done of it, and its total.
        step: of the run whose checkpoint the learner's weights are.
        ledger: open; keeps what is found, so that a measurement that is stopped goes on. Made for
            ``identity(learner, decision, step)``. Without one nothing is kept.

    Raises InputError for a pool without prompts that are mixed often enough, and gradients that are
    not finite.
    """
    model, training = learner.model, learner.model.training
    model.eval()
    try:
        with only_parameters(model, decision.options.parameters):
            kept = Ledger(learner.parallel) if ledger is None else ledger
            found, more = _measured(Tools(learner, decision, kept, on_done))
            more |= {"why this method": decision.why, "step": step, "seconds": kept.seconds}
            return Measurement(stored(learner, decision.options, found, more), found.parts)
    finally:
        model.train(training)


def identity(learner: LanguageModelLearner, decision: Decision, step: int) -> dict[str, Any]:
    """All that a measurement's result depends on, as plain values: another one is another file."""
    options = {name: value for name, value in vars(decision.options).items() if name != "like"}
    like = decision.options.like
    if like is not None:
        digest = hashlib.blake2b(digest_size=16)
        for array in (like.prompt, like.position, like.token):
            digest.update(array.tobytes())
        options["like"] = [digest.hexdigest(), json.dumps(parts_before(like))]
    return {
        "options": options,
        "rollouts": decision.rollouts,
        "config": learner.config.model_dump(mode="json"),
        "task": learner.task.fingerprint(),
        "weights": weights_digest(learner.model),
        "step": step,
        "versions": versions(),
    }


def _measured(tools: Tools) -> tuple[Findings, dict[str, Any]]:
    """What was found, and what the file says of the method."""

    def noise_of(rates: FloatArray, before: int) -> tuple[Metric, MeasuredNoise]:
        groups = RolloutGroups(tools, rates, before)
        metric = groups.metric()
        return metric, groups.measure(metric)

    more: dict[str, Any]
    answers = tools.decision.answers
    if answers is not None:
        rates = np.clip(_exact_rates(tools, answers), EDGE, 1.0 - EDGE)
        metric, noise = noise_of(rates, before=0)
        features = FeatureMeasurement(tools, metric, answers, noise).measure()
        more = {"least probability of an alternative": tools.options.least}
    else:
        sampled = sample_prompts(tools, "rollouts", tools.chosen.sets())
        rates = sampled.rates
        sampled.check()
        metric, noise = noise_of(rates, before=sampled.count)
        features = RolloutFeatures(tools, metric, sampled).measure()
        more = sampled.account()
    parts = measure_parts(noise.groups, np.random.default_rng([tools.options.seed, 1]))
    return Findings(tools.chosen, rates, metric, noise, features, parts), more


def _exact_rates(tools: Tools, answers: ExactAnswers) -> FloatArray:
    """Pass rates (n,) from log-probs."""

    def work(_: int) -> Arrays:
        return {"log rates": exact_log_rates(tools.model, answers, tools.temperature)}

    (found,) = tools.ledger.each("rates", range(1), work, alike=True)
    return np.asarray(np.exp(found["log rates"]))
