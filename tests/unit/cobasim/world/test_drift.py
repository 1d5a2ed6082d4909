"""Drift: difficulties that walk, and prompts that are replaced."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from small_worlds import build, train

from cobasim.world import WORLDS


@pytest.mark.parametrize("world", WORLDS)
def test_walk_moves_difficulties_and_nothing_else_does(world):
    still, walking = build(world), build(world, walk=0.1)
    before = still.all_pass_rates()
    for policy in (still, walking):
        policy.rollout(np.arange(4), np.ones(4, dtype=np.int64))  # groups of one teach nothing
        policy.update()
    np.testing.assert_array_equal(still.all_pass_rates(), before)
    assert np.abs(logit(walking.all_pass_rates()) - logit(before)).mean() > 0.02


@pytest.mark.parametrize("world", WORLDS)
def test_a_new_regime_replaces_a_share_of_the_prompts_by_hard_ones(world):
    policy = build(world, regime_step=3, regime_share=0.25, num_prompts=4000, num_heldout=4000)
    train(policy, 2)
    assert "new" not in policy.evaluate()
    accuracy = policy.evaluate()["pool"]
    train(policy, 1)
    new = policy.cluster == policy.config.clusters
    assert new[policy.sets["pool"]].mean() == pytest.approx(0.25, abs=1e-3)
    scores = policy.evaluate()
    assert scores["new"] < 0.15  # population "hard" has mean 0.10
    assert scores["pool"] < accuracy
    train(policy, 80)
    assert policy.evaluate()["new"] > scores["new"]
