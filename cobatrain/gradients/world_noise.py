"""The noise of rollouts that a measured world adds: what is left of it once outcomes are known.

The world draws outcomes itself, so noise must not hold their chance a second time. With p the pass
rate, phi the gradient of logit p and A s the gradient of one rollout (``cobasim.gradients.parts``),
E[s | pass] = (1-p) phi and E[s | failure] = -p phi. So the outcome alone gives A s the variance

    |phi|^2 (p^3 + (1-p)^3 - p (1-p)) = |phi|^2 (1 - 4 p (1-p))

along phi, which is taken away from the variance that the halves of groups show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray, RealArray
from cobasim.gradients import Answers, MeasuredGroups
from cobatrain.gradients.features import Features
from cobatrain.gradients.rollout_groups import MeasuredNoise

LEAST = 0.05  # of what was measured, whatever the estimates say


@dataclass(frozen=True)
class WorldNoise:
    """Variances of a rollout's noise given its outcome, A of unit variance.

    Attributes:
        along: (r + rest,) along each number of a feature, in Adam's metric.
        total: of all directions, in Adam's metric.
        plain: the same in the plain metric, of log-probs.
        at: (k, 2) pass rate and noise over its mean, in up to five groups of equal size.
    """

    along: FloatArray
    total: float
    plain: float
    at: FloatArray


def outcome_variance(rates: FloatArray) -> FloatArray:
    """Variance (m,) of a rollout's gradient from its outcome, in units of |phi|^2."""
    return np.asarray(1.0 - 4.0 * rates * (1.0 - rates))


def world_noise(noise: MeasuredNoise, features: Features, dim: int) -> WorldNoise:
    """From the groups and the features of their prompts; ``dim`` numbers in a sketch."""
    groups, rest = noise.groups, features.coordinates.shape[1] - len(features.directions)
    answers = Answers.of(features.prompt, features.position)
    weights = answers.rates(features.odds)[1]
    shared = answers.sums(weights.astype(np.float32)[:, None] * features.coordinates)
    own = answers.sums(weights * features.own)
    chosen, share = groups.prompt, outcome_variance(groups.rate)
    along = _noise_along(features.directions, noise.noise, noise.squares, dim)
    measured = np.concatenate([along, np.full(rest, features.outside)])
    outcome = (share[:, None] * np.square(shared[chosen].astype(np.float64))).mean(axis=0)
    if rest:  # one number for all of these, as it was measured
        outcome[-rest:] = outcome[-rest:].mean()
    lost = float(outcome.sum() + (share * own[chosen] ** 2).mean())
    total = float(noise.squares.mean())
    plain = np.square(features.plain.coordinates).sum(axis=1) + features.plain.rest**2
    within = groups.within - share * plain[chosen]
    mean = max(float(within.mean()), LEAST * float(groups.within.mean()))
    return WorldNoise(
        along=np.maximum(measured - outcome, 0.0),
        total=max(total - lost, LEAST * total),
        plain=mean,
        at=_by_rate(groups, within / mean),
    )


def _noise_along(
    directions: RealArray, noise: RealArray, squares: FloatArray, dim: int
) -> FloatArray:
    """Variance (r,) of a rollout's noise along each stored direction.

    The sketch adds |noise|^2 / D to each on average, which is taken away again.
    """
    along = (noise.astype(np.float64) @ directions.T) ** 2
    return np.asarray(along.mean(axis=0) - squares.mean() / dim)


def _by_rate(groups: MeasuredGroups, relative: FloatArray) -> FloatArray:
    order = np.argsort(groups.rate)
    parts = np.array_split(order, min(5, max(1, order.size // 16)))
    return np.array([[groups.rate[p].mean(), max(float(relative[p].mean()), LEAST)] for p in parts])
