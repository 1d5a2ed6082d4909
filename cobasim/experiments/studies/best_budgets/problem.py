"""The expected gain of held-out accuracy of one step, as a function of its budgets.

With groups i of B_i rollouts, weights w_i in the loss, updates u_i and gradients x_i of the
prompts' logits, a step moves the shared parameters by

    k (sum_i w_i u_i x_i + noise)

and held-out accuracy, to second order, by

    k sum_i w_i E[u_i] h.x_i
    + k^2 / 2 (sum_ij w_i w_j E[u_i u_j] x_i.H x_j + tr(H Noise) sum_i w_i^2 E[s_i] / B_i)

with h and H its gradient and its curvature. k is the length of a step: the learning rate, the
clipping of the expected gradient norm, and Adam's second moment. What momentum spreads over later
steps counts as part of this one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from cobasim.allocation import Limits
from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.errors import unknown_name
from cobasim.experiments.studies.best_budgets.heldout import Heldout
from cobasim.experiments.studies.best_budgets.moments import UpdateMoments, update_moments
from cobasim.updates import group_weights
from cobasim.world import MeasuredPolicy
from cobasim.world.linear import lengths
from cobasim.world.optimiser import BETA2

SCALES = ("state", "own")
"""Adam's second moment: as this step finds it, or as steps of these budgets would make it."""


class Sums(NamedTuple):
    """What the gain depends on: expected rise, bend (x.H x) and squared norm of the gradient."""

    rise: FloatArray
    bend: FloatArray
    square: FloatArray


@dataclass(frozen=True, eq=False)
class StepProblem:
    """One step's prompts (m,), among which ``places`` take part.

    Attributes:
        rate: (m,) true pass rates.
        rise: (m,) h.x of each prompt.
        bend: (m, m) x.H x of each pair.
        gram: (m, m) inner products of the logits' gradients in the plain metric.
        noise: (m,) variance of a rollout's noise, relative to the mean prompt's.
        noise_bend: trace of H times the covariance of a rollout's noise.
        noise_square: variance of a rollout's noise in the plain metric.
        moments: of the group updates.
        stride: length of a step for a gradient as long as Adam's second moment says.
        clip: norm at which gradients are clipped.
        kept, fresh: squared length before this step, and weight of its own, in Adam's second
            moment.
        weighting: of prompts in the loss.
        scale: a name in SCALES.
        limits: total and bounds of budgets.
        places: how many prompts take part; the others get no rollout.
    """

    rate: FloatArray
    rise: FloatArray
    bend: FloatArray
    gram: FloatArray
    noise: FloatArray
    noise_bend: float
    noise_square: float
    moments: UpdateMoments
    stride: float
    clip: float
    kept: float
    fresh: float
    weighting: str
    scale: str
    limits: Limits
    places: int

    def weight(self, budgets: IntArray) -> FloatArray:
        """Of groups of these sizes in the loss, in a step that spends the total."""
        if self.weighting == "prompt":
            return np.where(budgets > 0, 1.0 / self.places, 0.0)
        return np.asarray(budgets / self.limits.total)

    def stretch(self, square: FloatArray) -> FloatArray:
        """Length k of steps whose gradients have these expected squared norms."""
        norm = np.sqrt(np.maximum(square, 1e-300))
        if self.scale == "own":
            return self.stride / norm
        clip = np.minimum(1.0, self.clip / norm)
        return self.stride * clip / np.sqrt(self.kept + self.fresh * (clip * norm) ** 2)

    def value(self, sums: Sums) -> FloatArray:
        """Expected gains."""
        length = self.stretch(sums.square)
        return np.asarray(length * sums.rise + 0.5 * length**2 * sums.bend)

    def sums(self, budgets: IntArray) -> Sums:
        """Of one step with budgets (m,), which need not spend the total."""
        weights = np.zeros(budgets.size)
        tried = budgets > 0
        weights[tried] = group_weights(budgets[tried], self.weighting)
        at = np.arange(budgets.size), budgets
        pull = weights * self.moments.move[at]
        scatter = weights**2 * self.moments.variance[at]
        rollouts = float((weights**2 * self.moments.spread[at]) @ self.noise)
        return Sums(
            np.asarray(pull @ self.rise),
            pull @ self.bend @ pull + scatter @ self.bend.diagonal() + rollouts * self.noise_bend,
            pull @ self.gram @ pull + scatter @ self.gram.diagonal() + rollouts * self.noise_square,
        )

    def gain(self, budgets: IntArray) -> float:
        """Expected gain of held-out accuracy with budgets (m,); 0 rollouts: not taken part."""
        return float(self.value(self.sums(budgets)))

    def take(self, some: IntArray | BoolArray) -> StepProblem:
        """The same step with some of the prompts."""
        square = np.ix_(some, some)
        moments = UpdateMoments(*(getattr(self.moments, name)[some] for name in MOMENTS))
        return replace(
            self, rate=self.rate[some], rise=self.rise[some], bend=self.bend[square],
            gram=self.gram[square], noise=self.noise[some], moments=moments,
        )  # fmt: skip

    def blurred(self, kind: IntArray) -> StepProblem:
        """What somebody sees who knows pass rates, and of the rest the means by ``kind`` (m,)."""
        rise = _means(kind, self.rise)
        return replace(
            self, rise=rise, bend=_pair_means(kind, self.bend), gram=_pair_means(kind, self.gram)
        )


MOMENTS = ("move", "variance", "spread")


def _means(kind: IntArray, values: FloatArray) -> FloatArray:
    """(m,) the mean of each one's kind."""
    return np.asarray((np.bincount(kind, values) / np.bincount(kind).clip(1))[kind])


def _pair_means(kind: IntArray, values: FloatArray) -> FloatArray:
    """(m, m) the mean of each pair's kinds: of two different ones, and of one with itself."""
    table = np.eye(int(kind.max()) + 1)[kind]  # (m, kinds)
    count, diagonal = table.sum(axis=0), values.diagonal()
    pairs = np.outer(count, count) - np.diag(count)
    total = table.T @ values @ table - np.diag(table.T @ diagonal)
    alone = pairs == 0  # of a kind of one prompt: as different prompts of any kind are
    rest = (values.sum() - diagonal.sum()) / max(kind.size * (kind.size - 1), 1)
    mean = np.where(alone, rest, total / np.where(alone, 1.0, pairs))[np.ix_(kind, kind)]
    np.fill_diagonal(mean, _means(kind, diagonal))
    return np.asarray(mean)


def step_problem(
    policy: MeasuredPolicy,
    prompts: IntArray,
    limits: Limits,
    *,
    places: int | None = None,
    scale: str = "state",
    heldout: Heldout | None = None,
) -> StepProblem:
    """The next step of a measured policy.

    Args:
        policy: read only.
        prompts: (m,) of its pool.
        limits: total and bounds of budgets, feasible for ``places`` prompts.
        places: how many of the prompts take part; None: all.
        scale: a name in SCALES.
        heldout: whose accuracy counts; None: all held-out prompts of the policy.

    Raises InputError for an unknown scale and an infeasible total.
    """
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    places = prompts.size if places is None else places
    limits = limits.for_batch(places)
    heldout = Heldout(policy) if heldout is None else heldout
    view = policy.view(prompts)
    gradients = view.rows.shared.astype(np.float64)
    grown = lengths(*view.rows) / policy.length_at_start[prompts]
    plain = grown[:, None] * policy.plain[prompts]
    noise_variance = policy.noise_root**2
    number = policy.step + 1
    corrected = 1.0 - BETA2**number
    return StepProblem(
        rate=view.pass_rate,
        rise=gradients @ heldout.gradient(),
        bend=heldout.curvature(gradients),
        gram=plain @ plain.T + np.diag((grown * policy.plain_own[prompts]) ** 2),
        noise=policy.within[prompts],
        noise_bend=heldout.trace(noise_variance),
        noise_square=policy.plain_noise,
        moments=update_moments(view.pass_rate, limits.high, policy.config.update),
        stride=policy.pace * policy.optimiser.rate,
        clip=policy.config.clip_norm,
        kept=BETA2 * policy.optimiser.own_square / corrected,
        fresh=(1.0 - BETA2) / corrected,
        weighting=policy.config.weighting,
        scale=scale,
        limits=limits,
        places=places,
    )
