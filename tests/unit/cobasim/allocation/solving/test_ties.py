"""Ties, rollouts that no gain asks for, and limits that leave little choice."""

import numpy as np
import pytest
from batches import check_feasible
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import totals
from value_functions import Capped, Table

from cobasim.allocation import SOLVERS, CobaValue, KnapsackValue, Limits, solve
from cobasim.errors import InputError


@pytest.mark.parametrize("solver", list(SOLVERS)[:2])
def test_of_equal_gains_the_lower_index_wins(solver):
    value = CobaValue(np.full(4, 0.5), alpha=2.0, beta=2.0, tau=8.0)
    assert solve(value, Limits(14, 2, 9), solver).tolist() == [4, 4, 3, 3]
    flat = Capped(np.full(3, 0.5), np.full(3, 6.0))
    assert solve(flat, Limits(12, 2, 9), solver).tolist() == [6, 4, 2]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(0, 3), st.integers(0, 30), st.sampled_from(sorted(SOLVERS)),
       st.sampled_from([0.0, 1.0]), st.data())  # fmt: skip
def test_worthless_prompts_share_evenly_and_not_the_first_ones(m, low, width, solver, rate, data):
    limits = Limits(data.draw(totals(m, low, low + width)), low, low + width)
    budgets = solve(CobaValue(np.full(m, rate), alpha=2.0, beta=0.5, tau=8.0), limits, solver)
    check_feasible(budgets, limits, m)
    assert budgets.max() - budgets.min() <= 1
    # every stretch of the batch gets its part: no stretch is ahead by a whole rollout
    mean = limits.total / m
    assert np.all(np.abs(np.cumsum(budgets) - mean * np.arange(1, m + 1)) < 1 + 1e-9)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_what_no_gain_asks_for_is_spread_over_the_room_there_is(solver):
    value = Capped(np.array([0.5, 0.1, 0.0, 0.9]), np.array([4, 30, 9, 2]))
    # useful: 2, 8 (to high), 0, 0 rollouts over low; the other 7 are shared by 0, 2 and 3
    budgets = solve(value, Limits(8 + 10 + 7, 2, 10), solver)
    assert budgets[1] == 10
    assert sorted((budgets - [4, 10, 2, 2])[[0, 2, 3]].tolist()) == [2, 2, 3]


@pytest.mark.parametrize("solver", sorted(SOLVERS))
@pytest.mark.parametrize("cap", [1, 2, 7, 10, 12])
def test_a_gain_that_ends_for_all_prompts_at_once(solver, cap):
    rates = np.array([0.2, 0.4, 0.4, 0.9])
    for total in range(8, 41):
        budgets = solve(Capped(rates, np.full(4, cap)), Limits(total, 2, 10), solver)
        check_feasible(budgets, Limits(total, 2, 10), 4)
        cut = int(np.clip(cap, 2, 10))
        if total >= 4 * cut:
            assert budgets.max() - budgets.min() <= 1
        else:  # best first, filled to where its gain ends
            left = total - 8
            for i in (3, 1, 2, 0):
                assert budgets[i] == 2 + min(left, cut - 2)
                left -= budgets[i] - 2


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_gains_from_a_table_of_whole_numbers(solver):
    value = Table(np.array([0.1, 0.2, 0.3, 0.3]), -0.3 * np.arange(30))
    budgets = solve(value, Limits(30, 2, 20), solver)
    check_feasible(budgets, Limits(30, 2, 20), 4)
    assert sorted(budgets.tolist()) == [5, 7, 9, 9]


@pytest.mark.parametrize("solver", sorted(SOLVERS))
@pytest.mark.parametrize("total", [-1, 0, 5, 31, 10**30])
def test_an_infeasible_total_names_the_feasible_range(solver, total):
    value = CobaValue(np.array([0.2, 0.5, 0.9]), alpha=2.0, beta=3.0, tau=8.0)
    with pytest.raises(InputError, match=r"3 prompts.* 6 to 30"):
        solve(value, Limits(total, 2, 10), solver)


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_low_equal_to_high_leaves_no_choice(solver):
    value = CobaValue(np.array([0.2, 0.0, 0.9]), alpha=2.0, beta=3.0, tau=8.0)
    assert solve(value, Limits(15, 5, 5), solver).tolist() == [5, 5, 5]
    assert solve(value, Limits(0, 0, 0), solver).tolist() == [0, 0, 0]
    with pytest.raises(InputError, match="15 to 15"):
        solve(value, Limits(16, 5, 5), solver)


@pytest.mark.parametrize("high", [2**40, 2**62, 2**63 - 1, 10**30])
@pytest.mark.parametrize("rates", [[0.5, 0.2], [0.5, 0.2, 0.3, 0.4], [0.5, 0.0, 1.0], [0.0] * 3])
def test_an_upper_bound_that_does_not_bind_may_be_any_number(rates, high):
    value = CobaValue(np.array(rates), alpha=2.0, beta=3.0, tau=8.0)
    wanted = solve(value, Limits(40, 2, 40), "heap")
    assert solve(value, Limits(40, 2, high), "threshold").tolist() == wanted.tolist()


def test_knapsack_refuses_a_lower_bound_where_its_gains_do_not_decrease():
    with pytest.raises(InputError, match="low must be at least 1"):
        solve(KnapsackValue(np.array([0.5, 0.2])), Limits(8, 0, 10))


def test_an_unknown_solver_suggests_the_nearest():
    value = CobaValue(np.array([0.5]), alpha=2.0, beta=3.0, tau=8.0)
    with pytest.raises(InputError, match="did you mean 'threshold'"):
        solve(value, Limits(8), "treshold")
