"""Simulated policies learn by the formulas they name."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from small_worlds import build, train

from cobasim.allocation import Kept
from cobasim.world import WORLDS


def test_with_uniform_budgets_the_weightings_are_one():
    final = {}
    for weighting in ("rollout", "prompt"):
        policy = build(weighting=weighting)
        train(policy, 20)
        final[weighting] = policy.all_pass_rates()
    np.testing.assert_array_equal(final["rollout"], final["prompt"])


@pytest.mark.parametrize("world", WORLDS)
def test_policy_learns_and_reaches_unseen_prompts(world):
    policy = build(world, noise=0.0, learning_rate=5e-3)
    before = policy.evaluate()
    train(policy, 100)
    after = policy.evaluate()
    for name in ("pool", "heldout", "hard"):
        assert after[name] > before[name] + 0.01


@pytest.mark.parametrize("world", WORLDS)
def test_without_transfer_every_prompt_is_learned_by_itself(world):
    policy = build(world, transfer=0.0, interference=0.0, noise=0.0)
    prompts = np.arange(10)
    before = policy.all_pass_rates()
    for _ in range(20):
        policy.rollout(prompts, np.full(10, 16))
        policy.update()
    after = policy.all_pass_rates()
    assert (after[:10] > before[:10] + 1e-9).sum() >= 5
    np.testing.assert_array_equal(after[10:], before[10:])


def test_full_transfer_leaves_nothing_to_memorise():
    policy = build(transfer=1.0)
    assert not policy.own_slope.any()


def test_interference_can_hurt_other_prompts_and_its_absence_cannot():
    hurt = {}
    for interference in (0.0, 1.0):
        policy = build(
            transfer=0.0, interference=interference, noise=0.0, optimiser="sgd", learning_rate=50.0
        )
        before = policy.all_pass_rates()
        prompts = np.arange(20)
        for _ in range(20):
            policy.rollout(prompts, np.full(20, 16))
            policy.update()
        hurt[interference] = (policy.all_pass_rates()[20:] < before[20:] - 1e-12).mean()
    assert hurt[0.0] == 0.0
    assert hurt[1.0] > 0.2


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("rounds", [1, 2])
@pytest.mark.parametrize("update", ["grpo", "rloo"])
def test_queries_between_rollout_and_update_change_nothing(world, rounds, update):
    """Every public question, asked about other prompts than the batch's."""
    asked, quiet = (build(world, update=update, prompt_noise=3.0) for _ in range(2))
    prompts, others = np.arange(12), np.arange(40, 47)
    for _ in range(3):
        for policy in (asked, quiet):
            policy.rollout(prompts, np.full(12, 6))
            for _ in range(rounds - 1):
                policy.rollout_more(prompts[4:9], np.full(5, 3))
        state = asked.state_dict()
        for question in (
            lambda: asked.pass_rates(others),
            lambda: asked.view(others),
            lambda: asked.gradients(asked.view(others), np.ones(7)),
            lambda: asked.gradient_norms(others),
            lambda: asked.prompt_features(others),
            lambda: asked.prompt_lengths(others),
            asked.all_pass_rates,
            asked.evaluate,
            asked.state_dict,
        ):
            question()
        same_state(asked.state_dict(), state)
        assert asked.update() == quiet.update()
        same_state(asked.state_dict(), quiet.state_dict())


def same_state(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("passes", [0, 16])
def test_groups_of_one_outcome_teach_nothing(world, passes):
    policy = build(world, optimiser="sgd", walk=0.0)
    prompts = np.arange(8)
    before = policy.all_pass_rates()
    policy.rollout(prompts, np.full(8, 16))
    policy.keep(prompts, Kept(np.full(8, 16), np.full(8, passes)))
    assert policy.update()["grad_norm"] == 0.0
    np.testing.assert_array_equal(policy.all_pass_rates(), before)


@pytest.mark.parametrize("world", WORLDS)
def test_gradients_are_those_of_the_logits(world):
    """Against central differences: sum_i moves_i d logit_i / d shared, and / d own."""
    policy = build(world, transfer=0.5)
    prompts = np.array([3, 50, 120, 7])
    moves = np.array([0.3, -0.2, 0.5, 1.0])
    train(policy, 5)  # away from the start
    shared, own = policy.gradients(policy.view(prompts), moves)

    def objective() -> float:
        return float(moves @ logit(policy.pass_rates(prompts)))

    step = 1e-5
    for k in range(shared.size):
        parameters = policy.shared()
        parameters[k] += step
        high = objective()
        parameters[k] -= 2 * step
        low = objective()
        parameters[k] += step
        assert shared[k] == pytest.approx((high - low) / (2 * step), abs=2e-5)
    for j, prompt in enumerate(prompts):
        policy.own[prompt] += step
        high = objective()
        policy.own[prompt] -= 2 * step
        low = objective()
        policy.own[prompt] += step
        assert own[j] == pytest.approx((high - low) / (2 * step), abs=2e-5)


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
@pytest.mark.parametrize("world", WORLDS)
def test_warm_up_scales_steps_and_nothing_else(world, optimiser):
    """The first of four: a quarter; from the fourth on, the whole rate."""
    moved, own, states = [], [], []
    for warmup in (0, 4):
        policy = build(world, optimiser=optimiser, warmup_steps=warmup, harm=1.0)
        start = policy.shared().copy()
        train(policy, 1)
        moved.append(policy.shared() - start)
        own.append(policy.own.copy())
        states.append(policy.state_dict())
    np.testing.assert_allclose(moved[1], moved[0] / 4, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(own[1], own[0] / 4, rtol=1e-12)
    assert states[1]["damage"] == pytest.approx(states[0]["damage"] / 16)
    paces = []
    for _ in range(5):
        paces.append(policy.pace)
        train(policy, 1)
    assert paces == [0.5, 0.75, 1.0, 1.0, 1.0]


def test_gradient_norm_is_clipped():
    moved = []
    for clip in (1e-3, 1e9):
        policy = build(optimiser="sgd", clip_norm=clip, noise=0.0, learning_rate=1.0, transfer=1.0)
        train(policy, 1)
        moved.append(float(np.linalg.norm(policy.theta)))
    assert moved[0] == pytest.approx(1e-3)
    assert moved[1] > 0.01


@pytest.mark.parametrize("world", WORLDS)
def test_gradient_norms_are_those_of_single_prompts(world):
    policy = build(world)
    train(policy, 3)
    prompts = np.arange(20)
    norms_ = policy.gradient_norms(prompts)
    for prompt, norm in zip(prompts, norms_, strict=True):
        shared, own = policy.gradients(policy.view(np.array([prompt])), np.ones(1))
        assert norm == pytest.approx(np.sqrt(shared @ shared + own @ own))


def test_lengths_have_mean_one_and_are_counted_over_all_rounds():
    even, uneven = build(), build(length_spread=0.8)
    assert (even.lengths == 1.0).all()
    assert uneven.lengths.mean() == pytest.approx(1.0)
    assert uneven.lengths.std() > 0.3
    first, again = np.arange(50), np.arange(25, 75)
    for policy in (even, uneven):
        policy.rollout(first, np.full(50, 4))
        policy.rollout_more(again, np.full(50, 2))
    assert "tokens" not in even.update()
    spent = 4 * uneven.lengths[first].sum() + 2 * uneven.lengths[again].sum()
    assert uneven.update()["tokens"] == pytest.approx(spent)
    np.testing.assert_array_equal(even.all_pass_rates(), uneven.all_pass_rates())
