"""A seed fixes a world, and its state brings it back."""

from __future__ import annotations

import numpy as np
import pytest
from small_worlds import build, train

from cobasim.world import WORLDS, LogisticPolicy, SkillChainPolicy


@pytest.mark.parametrize("world", WORLDS)
def test_seed_fixes_everything_and_seeds_differ(world):
    finals = []
    for seed in (0, 0, 1):
        policy = build(world, seed=seed)
        train(policy, 5)
        finals.append(policy.all_pass_rates())
    np.testing.assert_array_equal(finals[0], finals[1])
    assert not np.array_equal(finals[0], finals[2])


@pytest.mark.parametrize("world", WORLDS)
def test_state_round_trip_continues_identically(world):
    settings = {"regime_step": 6, "walk": 0.01, "harm": 1.0, "forgetting": 0.02}
    unbroken = build(world, **settings)
    train(unbroken, 4)
    saved = unbroken.state_dict()
    resumed = build(world, **settings)
    resumed.load_state_dict(saved)
    for policy in (unbroken, resumed):
        train(policy, 6, seed=9)
    np.testing.assert_array_equal(unbroken.all_pass_rates(), resumed.all_pass_rates())


def test_nobody_learns_from_prompts_that_were_not_sampled_twice():
    policy = build()
    with pytest.raises(RuntimeError, match="rollout"):
        policy.update()


def test_families_are_registered():
    assert {"logistic": LogisticPolicy, "skill-chain": SkillChainPolicy} == WORLDS
