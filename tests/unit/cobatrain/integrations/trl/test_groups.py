"""Advantages, weights and passes of unequal groups, against plain loops."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

pytest.importorskip("trl", reason="TRL is not installed")

import torch
from hypothesis import given
from hypothesis import strategies as st

from cobatrain.integrations.trl.compatibility import nanstd
from cobatrain.integrations.trl.groups import (
    EPS,
    Groups,
    advantages,
    count_passes,
    prompt_weights,
    total_rewards,
)

NAN = math.nan
REWARD = st.sampled_from([0.0, 1.0, 0.25, 1.8, -2.0, NAN])
BATCHES = st.lists(st.lists(REWARD, min_size=2, max_size=9), min_size=1, max_size=6)


def batch(groups):
    """Groups of rewards as the trainer has them."""
    budgets = np.array([len(group) for group in groups])
    flat = torch.tensor([reward for group in groups for reward in group])
    return Groups(np.arange(100, 100 + len(groups)), budgets), flat


def reference(groups, scale):
    """Group by group, rollout by rollout."""
    scored = [r for group in groups for r in group if not math.isnan(r)]
    whole = statistics.stdev(scored) if len(scored) > 1 else NAN
    result = []
    for group in groups:
        own = [r for r in group if not math.isnan(r)]
        std = whole if scale == "batch" else statistics.stdev(own) if len(own) > 1 else NAN
        for reward in group:
            value = reward - statistics.mean(own) if own else NAN
            if scale != "none":
                value = value / (std + EPS)
            result.append(0.0 if math.isnan(value) else value)
    return result


@given(BATCHES, st.sampled_from(["group", "batch", "none"]))
def test_advantages_are_those_of_a_plain_loop(rewards, scale):
    groups, flat = batch(rewards)
    found, no_spread = advantages(flat, groups, scale)
    np.testing.assert_allclose(found, reference(rewards, scale), rtol=1e-4, atol=1e-4)
    if scale != "batch":
        parts = np.split(no_spread, np.cumsum(groups.budgets)[:-1])
        for group, alike in zip(rewards, parts, strict=True):
            own = [r for r in group if not math.isnan(r)]
            assert alike.all() == alike.any() == (len(own) > 1 and len(set(own)) == 1)


@given(st.lists(st.integers(2, 9), min_size=2, max_size=6, unique=True))
def test_equal_rewards_teach_nothing_whatever_the_size_of_the_group(budgets):
    groups = Groups(np.arange(len(budgets)), np.array(budgets))
    rewards = groups.spread(torch.linspace(0.1, 1.8, len(budgets)))
    found, no_spread = advantages(rewards, groups, "group")
    assert not found.any()
    assert no_spread.all()


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_equal_groups_have_trls_advantages_to_the_bit(scale):
    rewards = torch.rand(12, 8, generator=torch.Generator().manual_seed(1))
    rewards[3, 2] = rewards[5] = torch.nan
    found, _ = advantages(rewards.flatten(), Groups(np.arange(12), np.full(12, 8)), scale)
    centred = rewards - rewards.nanmean(dim=1, keepdim=True)
    std = nanstd(rewards) if scale == "batch" else nanstd(rewards, dim=1, keepdim=True)
    stock = centred if scale == "none" else centred / (std + 1e-4)
    assert torch.equal(found, stock.nan_to_num(nan=0.0).flatten())


@given(st.lists(st.integers(2, 40), min_size=1, max_size=30))
def test_weights_give_every_prompt_the_same(budgets):
    groups = Groups(np.arange(len(budgets)), np.array(budgets))
    weights = prompt_weights(groups, torch.ones(1))
    sums = np.bincount(groups.group, weights.numpy())
    np.testing.assert_allclose(sums, sum(budgets) / len(budgets), rtol=1e-5)
    if len(set(budgets)) == 1:
        assert torch.equal(weights, torch.ones(sum(budgets)))


@given(BATCHES, st.integers(1, 4))
def test_ranks_get_all_rows_once_and_in_order(rewards, ranks):
    groups, flat = batch(rewards * ranks)
    size = len(flat) // ranks
    rows = [groups.rows(rank, size) for rank in range(ranks)]
    assert {len(own) for own in rows} == {size}
    assert np.concatenate(rows).tolist() == groups.prompts.repeat(groups.budgets).tolist()


@given(BATCHES)
def test_a_rollout_passes_by_its_total_and_counts_if_it_has_a_reward(rewards):
    groups, flat = batch(rewards)
    made, passes = count_passes(flat[:, None], flat, groups, 0.25, ["only"])
    assert made.tolist() == [sum(not math.isnan(r) for r in group) for group in rewards]
    assert passes.tolist() == [sum(r >= 0.25 for r in group) for group in rewards]


def test_named_functions_decide_alone():
    groups = Groups(np.array([7, 3]), np.array([2, 3]))
    rewards = torch.tensor([[0.0, 9.0], [1.0, 0.0], [1.0, NAN], [NAN, 1.0], [1.0, 2.0]])
    total = total_rewards(rewards, torch.tensor([1.0, 0.5]))
    assert total.tolist() == [4.5, 1.0, 1.0, 0.5, 2.0]
    names = ["right", "form"]
    right = count_passes(rewards, total, groups, {"right": 0.5}, names)
    both = count_passes(rewards, total, groups, {"right": 0.5, "form": 1.0}, names)
    assert [array.tolist() for array in right] == [[2, 2], [1, 2]]
    # a function that gave a rollout no reward has no say in it
    assert [array.tolist() for array in both] == [[2, 3], [0, 3]]


def test_a_rollout_without_any_reward_has_no_total():
    rewards = torch.tensor([[NAN, NAN], [NAN, 2.0]])
    assert total_rewards(rewards, torch.ones(2)).isnan().tolist() == [True, False]
