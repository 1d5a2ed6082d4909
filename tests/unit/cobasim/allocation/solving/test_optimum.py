"""Solvers reach the optimum, and the fast one gives the budgets of the slow ones."""

import numpy as np
import pytest
from batches import check_feasible
from hypothesis import given, settings
from reference import EDGES, exact_gains, exact_optimum, exact_worth
from value_functions import ALL_KINDS, problems

from cobasim.allocation import SOLVERS, CobaValue, KnapsackValue, Limits, solve


@settings(max_examples=250, deadline=None)
@given(problems(kinds=ALL_KINDS))
def test_every_solver_reaches_the_exact_optimum(problem):
    value, limits = problem
    low, high = limits.low, limits.high
    gains, faithful = exact_gains(value, low, high)
    best = exact_optimum(gains, limits.total - low * value.pass_rate.size)
    for name in SOLVERS:
        budgets = solve(value, limits, name)
        check_feasible(budgets, limits, value.pass_rate.size)
        worth = exact_worth(gains, budgets, low)
        if name == "dp":  # sums in floating point: blind below 1e-16 of the largest gain
            assert worth <= best
            assert best - worth <= best / 10**12 or not faithful
        else:
            assert worth == best


@settings(max_examples=300, deadline=None)
@given(problems(max_prompts=40, max_width=60, max_amount=800, kinds=ALL_KINDS))
def test_threshold_is_heap(problem):
    value, limits = problem
    fast, slow = solve(value, limits, "threshold"), solve(value, limits, "heap")
    check_feasible(fast, limits, value.pass_rate.size)
    assert fast.tolist() == slow.tolist()


def random_batch(rng):
    """A batch of the nastier sort, and limits under which the heap stays affordable."""
    m = int(rng.choice([1, 2, 3, 8, 30, 200]))
    p = [
        lambda: rng.uniform(size=m),
        lambda: rng.integers(0, 17, m) / 16,
        lambda: rng.choice(EDGES, m),
        lambda: rng.choice(rng.uniform(size=2), m),
        lambda: rng.beta(0.1, 0.1, m),
        lambda: np.where(rng.random(m) < 0.3, rng.choice(EDGES, m), rng.integers(0, 9, m) / 8),
    ][rng.integers(6)]()
    low = int(rng.choice([0, 1, 2, 5]))
    high = low + int(rng.choice([0, 1, 2, 10, 126, 1000]))
    least, most = m * low, min(m * high, m * low + 6000)
    total = int(rng.choice([least, most, (least + most) // 2, rng.integers(least, most + 1),
                            min(most, least + 1), max(least, most - 1)]))  # fmt: skip
    if low >= 1 and rng.random() < 0.3:
        return KnapsackValue(p), Limits(total, low, high)
    alpha, beta = np.exp(rng.uniform(np.log(1e-2), np.log(500), 2))
    tau = 10.0 ** rng.uniform(-6, 6)
    return CobaValue(p, alpha=alpha, beta=beta, tau=tau), Limits(total, low, high)


@pytest.mark.parametrize("seed", range(4))
def test_threshold_is_heap_on_hundreds_of_random_batches(seed):
    rng = np.random.default_rng([seed, 5])
    for _ in range(250):
        value, limits = random_batch(rng)
        fast, slow = solve(value, limits, "threshold"), solve(value, limits, "heap")
        check_feasible(fast, limits, value.pass_rate.size)
        np.testing.assert_array_equal(fast, slow, err_msg=f"{value.pass_rate!r} {limits}")


@pytest.mark.parametrize("tau", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize(
    "rates",
    [
        [5e-324, 1e-320, 1e-315, 0.0],
        [1e-310, 1e-309, 0.0, 1.0],
        [1e-310, 1e-310, 1e-300, 1 - 1e-9, 1e-308, 5e-324, 1e-300, 1e-9],
        [1e-9, 0.5, 1.0, 2e-308, 1.0, 5e-324, 1e-300, 0.5],
    ],
)
def test_subnormal_pass_rates(rates, tau, time_limit):
    value = CobaValue(np.array(rates), alpha=0.5, beta=20.0, tau=tau)
    for total in (2 * len(rates) + 3, 10 * len(rates)):
        limits = Limits(total, 2, 20)
        with time_limit(5):
            fast = solve(value, limits, "threshold")
        check_feasible(fast, limits, value.pass_rate.size)
        assert fast.tolist() == solve(value, limits, "heap").tolist()


def test_the_search_does_not_crawl_where_gains_are_flat_in_floats(time_limit):
    p = np.resize([1e-299, 1e-200, 1e-120, 1e-299], 300)
    for value in (KnapsackValue(p), CobaValue(p, alpha=0.3, beta=4.0, tau=8.0)):
        with time_limit(10):
            for total in (601, 917, 2500, 30_001):
                solve(value, Limits(total, 2, 128))


def test_threshold_cost_does_not_depend_on_the_total():
    """Counted in evaluations of the value function, which is what it spends its time on."""

    class Counting(CobaValue):
        calls = 0

        def log_gain(self, rollouts):
            Counting.calls += 1
            return super().log_gain(rollouts)

        def rollouts_at(self, log_gain, low, high):
            Counting.calls += 1
            return super().rollouts_at(log_gain, low, high)

    p = np.random.default_rng(0).uniform(size=512)
    for mean in (4, 16, 256, 100_000):
        Counting.calls = 0
        value = Counting(p, alpha=5.0, beta=6.0, tau=8.0)
        solve(value, Limits(512 * mean, 2, 8 * mean))
        assert Counting.calls < 60
