"""Laws of solvers that need no second solver."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import totals
from value_functions import ALL_KINDS, Scaled, problems

from cobasim.allocation import CobaValue, KnapsackValue, Limits, solve
from cobasim.errors import InputError


@settings(max_examples=150, deadline=None)
@given(
    problems(max_prompts=30, max_width=126, kinds=ALL_KINDS), st.sampled_from(["threshold", "heap"])
)
def test_no_exchange_of_one_rollout_is_better(problem, solver):
    value, limits = problem
    budgets = solve(value, limits, solver)
    given_up = np.where(
        budgets > limits.low, value.log_gain(np.maximum(budgets - 1, limits.low)), np.inf
    )
    taken_up = np.where(budgets < limits.high, value.log_gain(budgets), -np.inf)
    assert given_up.min() >= taken_up.max()


@settings(max_examples=80, deadline=None)
@given(
    st.permutations(range(1, 40)), st.integers(1, 39), st.sampled_from(["coba", "knapsack"]),
    st.sampled_from(["threshold", "heap"]), st.data(),
)  # fmt: skip
def test_permuting_prompts_permutes_budgets(order, m, kind, solver, data):
    p = np.array(order[:m]) / 40.7  # distinct, and no two of equal gain
    limits = Limits(data.draw(totals(m, 2, 64)), 2, 64)

    def budgets(rates):
        if kind == "coba":
            return solve(CobaValue(rates, alpha=3.3, beta=7.1, tau=8.0), limits, solver)
        return solve(KnapsackValue(rates), limits, solver)

    shuffled = np.array(data.draw(st.permutations(range(m))))
    assert budgets(p)[shuffled].tolist() == budgets(p[shuffled]).tolist()


def test_the_dynamic_program_refuses_what_memory_cannot_hold():
    p = np.full(17_000, 0.5)
    with pytest.raises(InputError, match="threshold or heap"):
        solve(KnapsackValue(p), Limits(16 * p.size, 2, 128), "dp")


@pytest.mark.parametrize("constant", [-600.0, -1.0, 0.5, 40.0, 600.0])
@pytest.mark.parametrize("solver", ["threshold", "heap", "dp"])
def test_scaling_the_value_changes_no_budget(constant, solver):
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.uniform(0.01, 0.99, size=rng.integers(1, 12))
        limits = Limits(int(rng.integers(2 * p.size, 20 * p.size + 1)), 2, 20)
        for value in (CobaValue(p, alpha=3.0, beta=8.0, tau=8.0), KnapsackValue(p)):
            plain = solve(value, limits, solver)
            assert plain.tolist() == solve(Scaled(value, constant), limits, solver).tolist()


@settings(max_examples=80, deadline=None)
@given(problems(max_prompts=12, max_width=30))
def test_a_value_function_without_closed_forms_gives_the_same_budgets(problem):
    value, limits = problem
    for solver in ("threshold", "heap"):
        plain = Scaled(value, 0.0)
        assert solve(value, limits, solver).tolist() == solve(plain, limits, solver).tolist()


@settings(max_examples=60, deadline=None)
@given(problems(max_prompts=10, max_width=30, kinds=("coba", "knapsack", "log")), st.data())
def test_more_budget_takes_nothing_from_anybody(problem, data):
    value, limits = problem
    if not np.all(np.isfinite(value.log_gain(limits.high))):
        return  # prompts without gain share evenly what is left, by another rule
    more = data.draw(st.integers(limits.total, value.pass_rate.size * limits.high))
    assert np.all(solve(value, limits) <= solve(value, Limits(more, limits.low, limits.high)))
