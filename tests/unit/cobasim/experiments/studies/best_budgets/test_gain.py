"""The expected gain of a step: its moments, its derivatives, and against drawn steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from best_budgets import random_problem, small_policy
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cobasim.allocation import Limits
from cobasim.errors import InputError
from cobasim.experiments.studies.best_budgets import (
    Heldout,
    drawn_gains,
    step_problem,
    update_moments,
)
from cobasim.updates import UPDATES, expected_group_update, group_update

LIMITS = Limits(64, 2, 40)
BUDGETS = np.array([2, 30, 2, 9, 5, 10, 2, 4])


@given(
    # scipy's own pmf overflows below
    st.lists(st.just(0.0) | st.floats(1e-12, 1.0), min_size=1, max_size=4),
    st.integers(1, 20),
    st.sampled_from(UPDATES),
)
def test_moments_are_sums_over_the_binomial(rates, budget, kind):
    rate = np.array(rates)
    moments = update_moments(rate, budget, kind)
    passes = np.arange(budget + 1)
    chance = stats.binom.pmf(passes, budget, rate[:, None])
    update, square = group_update(passes, np.full(budget + 1, budget), kind)
    expected = expected_group_update(rate, np.full(rate.size, budget), kind)
    np.testing.assert_allclose(moments.move[:, budget], expected, atol=1e-12)
    second = moments.variance[:, budget] + moments.move[:, budget] ** 2
    np.testing.assert_allclose(second, chance @ update**2, atol=1e-12)
    np.testing.assert_allclose(moments.spread[:, budget], chance @ square / budget, atol=1e-12)
    assert not moments.move[:, :2].any()


@pytest.mark.parametrize("linear_in", ["tokens", "logit"])
def test_gradient_and_curvature_are_those_of_the_accuracy(linear_in, tmp_path):
    policy = small_policy(tmp_path, linear_in=linear_in)
    heldout = Heldout(policy)
    assert heldout.accuracy == pytest.approx(policy.evaluate()["heldout"], abs=1e-6)
    rank, size = policy.theta.size, 1e-3
    steps = size * np.concatenate([np.eye(rank), -np.eye(rank)])
    heldout.features = heldout.features.astype(np.float64)
    up, down = np.split(exactly_moved(heldout, steps), 2)
    np.testing.assert_allclose(heldout.gradient(), (up - down) / (2 * size), rtol=1e-3, atol=1e-6)
    curvature = heldout.curvature(np.eye(rank))
    diagonal = (up + down - 2 * exactly_moved(heldout, np.zeros((1, rank)))) / size**2
    np.testing.assert_allclose(np.diag(curvature), diagonal, rtol=1e-2, atol=1e-5)
    directions = np.random.default_rng(0).standard_normal((5, rank))
    between = directions @ curvature @ directions.T
    np.testing.assert_allclose(heldout.curvature(directions), between, rtol=1e-3, atol=1e-5)
    variance = np.linspace(0.1, 2.0, rank)
    assert heldout.trace(variance) == pytest.approx(variance @ np.diag(curvature), rel=1e-3)


def test_it_may_be_the_accuracy_of_prompts_of_the_pool(tmp_path):
    policy = small_policy(tmp_path, learning_rate=0.02)
    assert policy.own.any()
    pool = Heldout(policy, np.arange(policy.num_prompts))
    assert pool.accuracy == pytest.approx(policy.evaluate()["pool"], abs=1e-6)


def exactly_moved(heldout, steps):
    odds = heldout.odds.astype(np.float64)
    return np.array([heldout.answers.rates(odds + heldout.features @ s)[0].mean() for s in steps])


@pytest.mark.parametrize("weighting", ["rollout", "prompt"])
@pytest.mark.parametrize("steps", [0, 6])
def test_drawn_steps_gain_what_is_expected(weighting, steps, tmp_path):
    policy = small_policy(tmp_path, weighting, steps, learning_rate=0.02)
    prompts = np.arange(20, 28)
    problem = step_problem(policy, prompts, LIMITS)
    for budgets in (np.full(8, 8), BUDGETS):
        gains = drawn_gains(policy, prompts, budgets, 3000, np.random.default_rng(1))
        error = gains.std() / gains.size**0.5
        gain = problem.gain(budgets)
        assert abs(gains.mean() - gain) < 4 * error + 0.05 * abs(gain)
        assert abs(gain) > 8 * error  # else nothing would have been tested


def test_the_order_of_prompts_does_not_matter(tmp_path):
    policy = small_policy(tmp_path)
    prompts, turned = np.arange(8), np.arange(8)[::-1]
    problem = step_problem(policy, prompts, LIMITS)
    other = step_problem(policy, turned, LIMITS)
    assert other.gain(BUDGETS[::-1]) == pytest.approx(problem.gain(BUDGETS), rel=1e-4)


@pytest.mark.parametrize("weighting", ["rollout", "prompt"])
def test_prompts_without_a_rollout_are_as_if_they_were_not_there(weighting):
    problem = random_problem(3, size=6, limits=Limits(16, 2, 10), places=4, weighting=weighting)
    budgets = np.array([4, 0, 3, 6, 0, 3])
    some = budgets > 0
    assert problem.gain(budgets) == pytest.approx(problem.take(some).gain(budgets[some]))


def test_the_own_scale_forgets_the_length_of_gradients():
    problem = random_problem(5)
    longer = replace(problem, gram=9.0 * problem.gram, noise_square=9.0 * problem.noise_square)
    budgets = np.array([2, 8, 3, 3])
    same = replace(longer, stride=3.0 * problem.stride)
    assert same.gain(budgets) == pytest.approx(problem.gain(budgets))


def test_somebody_who_knows_all_kinds_apart_sees_prompts_as_they_are():
    problem = random_problem(7, size=5)
    np.testing.assert_allclose(problem.blurred(np.arange(5)).rise, problem.rise)
    one = problem.blurred(np.zeros(5, dtype=np.int64))
    assert np.unique(one.rise.round(12)).size == 1
    assert np.unique(one.bend.round(12)).size == 2  # of a prompt with itself, and with others
    assert one.bend.sum() == pytest.approx(problem.bend.sum())
    pairs = problem.blurred(np.array([0, 0, 1, 1, 1]))
    assert pairs.gram.sum() == pytest.approx(problem.gram.sum())
    assert pairs.gram[0, 2] == pytest.approx(problem.gram[:2, 2:].mean())


def test_an_unknown_scale_is_refused(tmp_path):
    with pytest.raises(InputError, match="scale"):
        step_problem(small_policy(tmp_path), np.arange(8), LIMITS, scale="mine")
