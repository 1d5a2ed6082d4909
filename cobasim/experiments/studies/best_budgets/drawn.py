"""The gain of a step by drawing it: what the expected gain is checked against."""

from __future__ import annotations

import numpy as np

from cobasim.arrays import FloatArray, IntArray
from cobasim.experiments.studies.best_budgets.heldout import Heldout
from cobasim.updates import group_update, group_weights
from cobasim.world import MeasuredPolicy
from cobasim.world.optimiser import BETA2
from cobasim.world.view import WeighedGroups


def drawn_gains(
    policy: MeasuredPolicy,
    prompts: IntArray,
    budgets: IntArray,
    draws: int,
    rng: np.random.Generator,
    heldout: Heldout | None = None,
) -> FloatArray:
    """True changes (draws,) of held-out accuracy by steps with budgets (m,), from where it is now.

    Outcomes and noise are drawn, gradients clipped by their own norm; Adam's second moment is that
    of the state with this step in it, and momentum is applied at once.
    """
    heldout = Heldout(policy) if heldout is None else heldout
    view = policy.view(prompts[budgets > 0])
    budgets = budgets[budgets > 0]
    weights = group_weights(budgets, policy.config.weighting)
    corrected = 1.0 - BETA2 ** (policy.step + 1)
    kept, fresh = BETA2 * policy.optimiser.own_square / corrected, (1.0 - BETA2) / corrected
    steps = np.empty((draws, policy.theta.size))
    for number in range(draws):
        passes = rng.binomial(budgets, view.pass_rate)
        move, square = group_update(passes, budgets, policy.config.update)
        groups = WeighedGroups(view, budgets, weights, move, square)
        shared, own = policy.gradients(view, groups.moves)
        noise, variance = policy.nuisance(groups, rng.standard_normal(policy.theta.size))
        norm = policy.gradient_norm(groups, shared, own, variance)
        clip = min(1.0, policy.config.clip_norm / norm) if norm > 0.0 else 1.0
        root = np.sqrt(kept + fresh * (clip * norm) ** 2) + 1e-8
        steps[number] = policy.optimiser.rate * clip / root * (shared + noise)
    return heldout.moved(steps) - heldout.accuracy
