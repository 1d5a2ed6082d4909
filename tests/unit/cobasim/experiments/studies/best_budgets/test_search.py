"""The search: against all budgets of small problems, and its laws."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from best_budgets import random_problem
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.allocation import Limits
from cobasim.experiments.studies.best_budgets import SCALES, best_budgets, improve
from cobasim.experiments.studies.best_budgets.search import best_prompts


def every_budget(problem):
    """All feasible budgets of a small problem."""
    limits, size = problem.limits, problem.rate.size
    for some in combinations(range(size), problem.places):
        for given_ in product(range(limits.low, limits.high + 1), repeat=problem.places):
            if sum(given_) == limits.total:
                budgets = np.zeros(size, dtype=np.int64)
                budgets[list(some)] = given_
                yield budgets


@pytest.mark.parametrize("weighting", ["rollout", "prompt"])
@pytest.mark.parametrize("scale", SCALES)
def test_it_finds_the_best_of_all_budgets(weighting, scale):
    starts = [np.array([10, 2, 2, 2]), np.array([2, 10, 2, 2]), np.array([2, 2, 10, 2])]
    for seed in range(25):
        problem = random_problem(seed, weighting=weighting, scale=scale)
        best = max(problem.gain(budgets) for budgets in every_budget(problem))
        assert problem.gain(best_budgets(problem, starts)) == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("weighting", ["rollout", "prompt"])
def test_it_finds_the_best_prompts_and_budgets(weighting):
    for seed in range(8):
        problem = random_problem(seed, 5, Limits(12, 2, 8), places=3, weighting=weighting)
        best = max(problem.gain(budgets) for budgets in every_budget(problem))
        starts = [np.bincount(some, minlength=5) * 4 for some in combinations(range(5), 3)]
        assert problem.gain(best_budgets(problem, starts)) == pytest.approx(best, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(2, 12),
    st.sampled_from(["rollout", "prompt"]),
    st.sampled_from(SCALES),
    st.booleans(),
)
def test_budgets_are_feasible_and_no_exchange_of_one_rollout_gains(
    seed, size, weighting, scale, chosen
):
    places = max(2, size // 2) if chosen else size
    limits = Limits(7 * places, 2, 20)
    problem = random_problem(seed, size, limits, places, weighting, scale)
    found = best_budgets(problem)
    tried = found > 0
    assert found.sum() == limits.total
    assert np.count_nonzero(tried) == places
    assert found[tried].min() >= limits.low
    assert found.max() <= limits.high
    gain = problem.gain(found)
    assert gain >= problem.gain(best_prompts(problem)) - 1e-9 * abs(gain)
    for giver, getter in product(np.flatnonzero(tried), repeat=2):
        if giver != getter and found[giver] > limits.low and found[getter] < limits.high:
            other = found.copy()
            other[giver] -= 1
            other[getter] += 1
            assert problem.gain(other) <= gain + 2e-9 * abs(gain)


def test_the_best_prompts_keep_equal_budgets():
    problem = random_problem(1, 8, Limits(24, 2, 20), places=3)
    found = best_prompts(problem)
    assert sorted(found.tolist()) == [0] * 5 + [8] * 3


def test_bad_starts_are_left_out():
    problem = random_problem(2)
    starts = [np.array([16, 0, 0, 0]), np.array([4, 4, 4, 5]), np.array([1, 5, 5, 5])]
    np.testing.assert_array_equal(best_budgets(problem, starts), best_budgets(problem))


def test_without_sizes_prompts_only_change_places():
    problem = random_problem(4)
    start = np.array([2, 9, 3, 2])
    assert sorted(improve(problem, start, sizes=()).tolist()) == [2, 2, 3, 9]
