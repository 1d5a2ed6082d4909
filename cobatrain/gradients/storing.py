"""What was measured, as the contents of its file."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from cobasim.arrays import FloatArray, RealArray
from cobasim.gradients import LowRank, MeasuredGradients, MeasuredGroups, PartsReport, compress
from cobatrain.gradients.chosen import Chosen
from cobatrain.gradients.features import Features
from cobatrain.gradients.metric import Metric
from cobatrain.gradients.options import GradientOptions
from cobatrain.gradients.per_prompt import trained_parameters
from cobatrain.gradients.rollout_groups import MeasuredNoise
from cobatrain.learner import LanguageModelLearner


@dataclass(frozen=True)
class Findings:
    """All that a measurement found."""

    chosen: Chosen
    metric: Metric
    noise: MeasuredNoise
    features: Features
    parts: PartsReport


def stored(
    learner: LanguageModelLearner, options: GradientOptions, found: Findings, seconds: float
) -> MeasuredGradients:
    """The file's contents: features in few directions, and the noise along them."""
    features, noise = found.features, found.noise
    adam = compress(features.adam, options.rank, features.adam_square)
    plain = compress(features.plain, options.plain_rank, features.plain_square)
    # the loss divides a response's log-prob by its length, or by a constant
    scale = 1.0 / (learner.config.update.constant_length or noise.length)
    return MeasuredGradients(
        rate=found.chosen.rates,
        level=found.chosen.levels,
        heldout=found.chosen.heldout,
        features=adam.coordinates,
        rest=adam.rest,
        plain=scale * plain.coordinates,
        plain_rest=scale * plain.rest,
        noise=_noise_along(adam, noise.noise, noise.squares, options.dim),
        noise_total=float(noise.squares.mean()),
        plain_within=scale**2 * found.parts.overall.within.value,
        within_at=_within_at(noise.groups),
        root_sum=scale * found.metric.root_sum,
        info=_info(learner, options, found, adam) | {"seconds": seconds},
    )


def _noise_along(low_rank: LowRank, noise: RealArray, squares: FloatArray, dim: int) -> FloatArray:
    """Variance (r,) of a rollout's noise along each stored direction.

    The sketch adds |noise|^2 / D to each on average, which is taken away again.
    """
    along = (noise.astype(np.float64) @ low_rank.directions.T) ** 2
    return np.asarray(np.maximum(along.mean(axis=0) - squares.mean() / dim, 0.0))


def _within_at(groups: MeasuredGroups) -> FloatArray:
    """(k, 2) pass rate and within part over its mean, in up to five groups of equal size."""
    order = np.argsort(groups.rate)
    parts = np.array_split(order, min(5, max(1, order.size // 16)))
    mean = float(groups.within.mean())
    return np.array(
        [[groups.rate[p].mean(), max(groups.within[p].mean() / mean, 0.05)] for p in parts]
    )


def _info(
    learner: LanguageModelLearner, options: GradientOptions, found: Findings, adam: LowRank
) -> dict[str, Any]:
    features, noise = found.features, found.noise
    kept = float((adam.coordinates**2).sum() / max(features.adam_square.sum(), 1e-300))
    return {
        "method": "exact",
        "model": learner.config.model.path,
        "parameters": sum(p.numel() for p in trained_parameters(learner.model)),
        "parameters of the model": sum(p.numel() for p in learner.model.parameters()),
        "task": learner.task.name,
        "task fingerprint": learner.task.fingerprint(),
        "step": learner.step,
        "config": learner.config.model_dump(mode="json"),
        "groups": int(noise.groups.rate.size),
        "rollouts of a group": noise.rollouts,
        "tokens of a response": noise.length,
        "sketch": {"dim": options.dim, "seed": options.seed, "error": features.error},
        "rank": int(adam.coordinates.shape[1]),
        "share of squared length kept": kept,
        "parts": found.parts.to_json(),
        "versions": {
            "coba-testbed": version("coba-testbed"),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
