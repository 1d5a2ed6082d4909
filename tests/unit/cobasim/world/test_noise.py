"""Noise of rollouts and of prompts, what it harms, and what is forgotten."""

from __future__ import annotations

import numpy as np
import pytest
from small_worlds import build, train

from cobasim.updates import group_update
from cobasim.world import WORLDS


def test_noise_has_the_variance_that_advantages_imply():
    """Per parameter: noise^2 / d * sum_i w_i^2 mean(A_i^2) / B_i."""
    config = {"optimiser": "sgd", "learning_rate": 1.0, "clip_norm": 1e9, "noise": 30.0}
    prompts, budgets = np.arange(40), np.tile([4, 12], 20)
    deltas, expected = [], []
    for seed in range(60):
        moved = {}
        for noise in (0.0, config["noise"]):
            policy = build(seed=seed, **(config | {"noise": noise}))
            passes = policy.rollout(prompts, budgets)
            policy.update()
            moved[noise] = policy.theta.copy()
        deltas.append(moved[30.0] - moved[0.0])
        _, square = group_update(passes, budgets, "grpo")
        weights = budgets / budgets.sum()
        expected.append(30.0**2 / 32 * (weights**2 * square / budgets).sum())
    ratio = np.mean(np.square(deltas)) / np.mean(expected)
    assert ratio == pytest.approx(1.0, abs=0.15)


def norms(budget: int, **settings) -> float:
    """Mean squared gradient norm of nuisance alone, over seeds, without clipping."""
    found = []
    for seed in range(12):
        policy = build(seed=seed, transfer=0.0, interference=0.0, memorisation=0.0, **settings)
        prompts = np.arange(100)
        policy.rollout(prompts, np.full(100, budget))
        found.append(policy.update()["grad_norm"] ** 2)
    return float(np.mean(found))


def test_more_rollouts_average_out_a_rollouts_nuisance_and_not_a_prompts():
    rates = np.full(300, 0.5)
    per_rollout = [norms(n, rates=rates, noise=100.0) for n in (16, 256)]
    per_prompt = [norms(n, rates=rates, noise=0.0, prompt_noise=100.0) for n in (16, 256)]
    assert per_rollout[0] / per_rollout[1] == pytest.approx(16, rel=0.3)
    assert per_prompt[0] / per_prompt[1] == pytest.approx(1, rel=0.3)


@pytest.mark.parametrize("world", WORLDS)
def test_what_is_forgotten_at_once_never_reaches_unseen_prompts(world):
    start = build(world).evaluate()["heldout"]
    kept, lost = build(world), build(world, forgetting=1.0)
    for policy in (kept, lost):
        train(policy, 5)
    assert kept.evaluate()["heldout"] > start
    assert lost.evaluate()["heldout"] == pytest.approx(start, abs=1e-12)


@pytest.mark.parametrize("world", WORLDS)
def test_harm_lowers_every_pass_rate_and_only_where_there_is_nuisance(world):
    prompts = np.arange(300)
    rates = []
    for harm, noise in ((0.0, 50.0), (1.0, 50.0), (100.0, 50.0), (0.0, 0.0), (100.0, 0.0)):
        policy = build(world, harm=harm, noise=noise, learning_rate=0.05)
        policy.rollout(prompts, np.full(300, 8))
        policy.update()
        rates.append(policy.pass_rates(prompts))
    none, some, much, quiet, unharmed = rates
    assert (much < some).all()
    assert (some < none).all()
    np.testing.assert_array_equal(quiet, unharmed)
