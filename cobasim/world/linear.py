"""Worlds whose logits are linear in features that prompts share."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from cobasim.arrays import FloatArray, IntArray, RealArray
from cobasim.gradients import GradientParts
from cobasim.world.policy import SimulatedPolicy
from cobasim.world.view import BatchView


class LinearPolicy(SimulatedPolicy):
    """p_i = sigmoid(features_i . theta + own_slope_i own_i - difficulty_i).

    Subclasses set these in ``build``; at the start theta is 0, so difficulties are minus the first
    logits.

    Attributes:
        theta: (d,) shared parameters.
        features: (n, d) gradients of the logits with respect to them.
        own_slope: (n,) gradients with respect to each prompt's own parameter.
        difficulty: (n,) in logits.
    """

    theta: FloatArray
    features: FloatArray
    own_slope: FloatArray
    difficulty: FloatArray

    def shared(self) -> FloatArray:
        """See ``SimulatedPolicy``."""
        return self.theta

    def view(self, prompts: IntArray) -> BatchView:
        """See ``SimulatedPolicy``; the rows are the prompts' features (m, d)."""
        rows = self.features.take(prompts, axis=0)
        own = self.own_slope[prompts] * self.own[prompts]
        logits = rows @ self.theta + own - self.difficulty[prompts]
        return BatchView(prompts, np.asarray(expit(logits - self.damage)), rows)

    def pass_rates(self, prompts: IntArray) -> FloatArray:
        """See ``SimulatedPolicy``."""
        return self.view(prompts).pass_rate

    def all_pass_rates(self) -> FloatArray:
        """See ``SimulatedPolicy``."""
        logits = self.features @ self.theta - self.difficulty
        logits[: self.num_prompts] += self.own_slope[: self.num_prompts] * self.own
        return np.asarray(expit(logits - self.damage))

    def gradients(self, view: BatchView, moves: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See ``SimulatedPolicy``."""
        return moves @ view.rows, moves * self.own_slope[view.prompts]

    def gradient_norms(self, prompts: IntArray) -> FloatArray:
        """Norms (m,) of the gradients of prompts' logits; constant in this family."""
        return lengths(self.features[prompts], self.own_slope[prompts])

    def gradient_parts(self) -> GradientParts:
        """The parts of gradients as the policy is now, of the whole pool (``parts_of``).

        Without error: the world's own ``noise``; ``prompt_noise`` is a part of each prompt's own.
        """
        pool = np.arange(self.num_prompts)
        config = self.config
        return parts_of(
            self.pass_rates(pool),
            (self.features[pool], self.own_slope[pool]),
            noise=np.full(pool.size, config.noise**2),
            prompt_noise=config.prompt_noise**2,
            steps=self.step,
        )

    def prompt_features(self, prompts: IntArray) -> FloatArray:
        """The direction of the prompt's shared features; not its difficulty."""
        rows = self.features[prompts]
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12))


def lengths(rows: RealArray, own: RealArray) -> FloatArray:
    """Lengths (m,) of vectors with shared coordinates (m, d) and one of their own (m,)."""
    return np.asarray(np.sqrt((rows * rows).sum(axis=1) + own**2))


def parts_of(
    rates: FloatArray,
    gradients: tuple[RealArray, RealArray],
    *,
    noise: FloatArray,
    prompt_noise: float,
    steps: int,
) -> GradientParts:
    """The parts of gradients of prompts (m,), each counted by p (1-p), as groups with signal do.

    Args:
        rates: (m,) true pass rates.
        gradients: of the prompts' logits: shared coordinates (m, d), and one of their own (m,).
        noise: (m,) variance of the noise that one rollout brings, times its advantage.
        prompt_noise: variance of what a prompt's rollouts share besides, in units of its logit.
        steps: of the run so far.
    """
    shared, own = gradients
    weight = rates * (1.0 - rates)
    root, total = np.sqrt(weight), max(float(weight.sum()), 1e-300)
    squares = (shared * shared).sum(axis=1)
    sum_ = root @ shared
    pairs = max(float(root.sum() ** 2) - total, 1e-300)
    common = max((float(sum_ @ sum_) - float(weight @ squares)) / pairs, 0.0)
    length = float(weight @ (squares + own * own)) / total
    return GradientParts(
        noise=float(weight @ noise) / total,
        logit_own=max(length - common, 0.0) + prompt_noise,
        logit_shared=common,
        variance=float(weight @ weight) / total,
        steps=steps,
    )
