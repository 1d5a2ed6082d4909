"""What was measured, as the contents of its file."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cobasim.arrays import FloatArray
from cobasim.gradients import MeasuredGradients, PartsReport
from cobasim.version import VERSION
from cobatrain.gradients.chosen import Chosen
from cobatrain.gradients.features import Features
from cobatrain.gradients.metric import Metric
from cobatrain.gradients.options import GradientOptions
from cobatrain.gradients.per_prompt import trained_parameters
from cobatrain.gradients.rollout_groups import MeasuredNoise
from cobatrain.gradients.world_noise import world_noise
from cobatrain.learner import LanguageModelLearner


@dataclass(frozen=True)
class Findings:
    """All that a measurement found."""

    chosen: Chosen
    rates: FloatArray
    metric: Metric
    noise: MeasuredNoise
    features: Features
    parts: PartsReport


def stored(
    learner: LanguageModelLearner, options: GradientOptions, found: Findings, more: dict[str, Any]
) -> MeasuredGradients:
    """The file's contents; ``more`` is what else it says of itself."""
    features, noise, plain = found.features, found.noise, found.features.plain
    left = world_noise(noise, features, options.dim)
    # the loss divides a response's log-prob by its length, or by a constant
    scale = 1.0 / (learner.config.update.constant_length or noise.length)
    return MeasuredGradients(
        rate=found.rates,
        level=found.chosen.levels,
        heldout=found.chosen.heldout,
        prompt=features.prompt,
        position=features.position,
        token=features.token,
        odds=features.odds,
        features=features.coordinates,
        own=features.own,
        plain=scale * plain.coordinates,
        plain_rest=scale * plain.rest,
        folded=options.rest,
        noise=left.along,
        noise_total=left.total,
        plain_within=scale**2 * left.plain,
        within_at=left.at,
        root_sum=scale * found.metric.root_sum,
        info=_info(learner, options, found) | more,
    )


def _info(
    learner: LanguageModelLearner, options: GradientOptions, found: Findings
) -> dict[str, Any]:
    features, noise, lora = found.features, found.noise, learner.config.model.lora
    return {
        "method": options.method,
        "model": learner.config.model.path,
        "parameters": sum(p.numel() for p in trained_parameters(learner.model)),
        "parameters measured": options.parameters,
        "adapters": None if lora is None else f"LoRA adapters of rank {lora.rank}",
        "parameters of the model": sum(p.numel() for p in learner.model.parameters()),
        "task": learner.task.name,
        "task fingerprint": learner.task.fingerprint(),
        "config": learner.config.model_dump(mode="json"),
        "groups": int(noise.groups.rate.size),
        "rollouts of a group": noise.rollouts,
        "tokens of a response": noise.length,
        "sketch": {"dim": options.dim, "seed": options.seed, "error": features.error},
        "rank": len(features.directions),
        "share of squared length kept": features.kept,
        "alternatives": int(features.odds.size),
        "parts": found.parts.to_json(),
        "parts before": parts_before(options.like),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of what a measurement depends on."""
    return {
        "coba-testbed": VERSION,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def parts_before(like: MeasuredGradients | None) -> list[dict[str, Any]]:
    """Steps and parts of all prompts of the measurement that this one goes on from, and before."""
    if like is None:
        return []
    row = {"step": like.step, "all": like.info["parts"]["all"]}
    return [*like.info.get("parts before", []), row]
