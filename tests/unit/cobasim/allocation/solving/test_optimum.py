import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import (
    EDGES,
    exact_gains,
    exact_optimum,
    exact_worth,
    pass_rates,
    scales,
    shapes,
    totals,
)

from cobasim.allocation import SOLVERS, CobaValue, KnapsackValue, Limits, ValueFunction, solve
from cobasim.errors import InputError


class LogUtility(ValueFunction):
    """p log(1 + n): only what a value function must give."""

    def __init__(self, pass_rate):
        self.pass_rate = np.asarray(pass_rate, dtype=np.float64)

    def log_value(self, rollouts):
        with np.errstate(divide="ignore"):
            return np.log(self.pass_rate) + np.log(np.log1p(np.asarray(rollouts, dtype=float)))

    def log_gain(self, rollouts):
        with np.errstate(divide="ignore"):
            return np.log(self.pass_rate) + np.log(np.log1p(1.0 / (1.0 + np.asarray(rollouts))))


class Capped(ValueFunction):
    """p min(n, cap): equal gains, then a gain of exactly 0."""

    def __init__(self, pass_rate, cap):
        self.pass_rate = np.asarray(pass_rate, dtype=np.float64)
        self.cap = np.asarray(cap, dtype=np.float64)

    def log_value(self, rollouts):
        with np.errstate(divide="ignore"):
            return np.log(self.pass_rate * np.minimum(rollouts, self.cap))

    def log_gain(self, rollouts):
        with np.errstate(divide="ignore"):
            n = np.asarray(rollouts)
            return np.where(n < self.cap, np.log(self.pass_rate) + 0.0 * n, -np.inf)


class Table(ValueFunction):
    """Gains looked up by the whole number of rollouts: as a measured curve would be."""

    def __init__(self, pass_rate, log_gains):
        self.pass_rate, self.log_gains = np.asarray(pass_rate), np.asarray(log_gains)

    def log_value(self, rollouts):
        raise NotImplementedError

    def log_gain(self, rollouts):
        n = np.minimum(rollouts, len(self.log_gains) - 1)
        return np.log(self.pass_rate) + self.log_gains[n]


class Scaled(ValueFunction):
    """Another value function times exp(constant), by the two obligatory methods alone."""

    def __init__(self, value, constant):
        self.value_, self.constant = value, constant
        self.pass_rate, self.first = value.pass_rate, value.first

    def take(self, index):
        return Scaled(self.value_.take(index), self.constant)

    def log_value(self, rollouts):
        return self.value_.log_value(rollouts) + self.constant

    def log_gain(self, rollouts):
        return self.value_.log_gain(rollouts) + self.constant


@st.composite
def problems(draw, max_prompts=5, max_width=7, max_amount=None, kinds=("coba", "knapsack")):
    p = np.array(draw(st.lists(pass_rates, min_size=1, max_size=max_prompts)))
    if draw(st.booleans()):  # repeated pass rates: ties
        p = np.resize(p[: draw(st.integers(1, p.size))], p.size)
    kind = draw(st.sampled_from(kinds))
    if kind == "coba":
        value = CobaValue(p, alpha=draw(shapes), beta=draw(shapes), tau=draw(scales))
    elif kind == "knapsack":
        value = KnapsackValue(p)
    elif kind == "log":
        value = LogUtility(p)
    else:
        value = Capped(p, draw(st.lists(st.integers(0, 9), min_size=p.size, max_size=p.size)))
    low = value.first + draw(st.integers(0, 3))
    high = low + draw(st.integers(0, max_width))
    total = draw(totals(p.size, low, high))
    if max_amount is not None:
        total = min(total, p.size * low + max_amount)
    return value, Limits(total, low, high)


ALL_KINDS = ("coba", "knapsack", "log", "capped")


def check_feasible(budgets, limits):
    assert budgets.dtype == np.int64
    assert budgets.ndim == 1
    assert int(budgets.sum()) == limits.total
    assert budgets.min() >= limits.low
    assert budgets.max() <= limits.high


# -- the optimum ---------------------------------------------------------------------------


@settings(max_examples=250, deadline=None)
@given(problems(kinds=ALL_KINDS))
def test_every_solver_reaches_the_exact_optimum(problem):
    value, limits = problem
    low, high = limits.low, limits.high
    gains, faithful = exact_gains(value, low, high)
    best = exact_optimum(gains, limits.total - low * value.pass_rate.size)
    for name in SOLVERS:
        budgets = solve(value, limits, name)
        check_feasible(budgets, limits)
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
    check_feasible(fast, limits)
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
        check_feasible(fast, limits)
        np.testing.assert_array_equal(fast, slow, err_msg=f"{value.pass_rate!r} {limits}")


def large_batches():
    rng = np.random.default_rng(3)
    m = 20_000
    lonely = np.zeros(m)
    lonely[12_345] = 0.3
    striped = rng.uniform(0.1, 0.9, m)
    striped[::4] = 0.0  # the sampled start looks at every fourth prompt
    return {
        "uniform": rng.uniform(size=m),
        "sixteenths": rng.integers(0, 17, m) / 16,
        "sorted": np.sort(rng.beta(0.3, 0.7, m)),
        "one value": np.full(m, 0.25),
        "two values": np.where(np.arange(m) < m // 2, 0.25, 0.5),
        "nearly all worthless": np.where(rng.random(m) < 0.999, 0.0, 0.4),
        "one that is worth something": lonely,
        "every fourth worthless": striped,
        "tiny": np.full(m, 1e-300) * rng.integers(0, 3, m),
    }


@pytest.mark.parametrize("kind", ["coba", "knapsack", "log"])
@pytest.mark.parametrize("batch", list(large_batches()))
def test_threshold_is_heap_where_the_start_is_sampled(batch, kind):
    p = large_batches()[batch]
    value = {
        "coba": lambda: CobaValue(p, alpha=5.0, beta=6.0, tau=8.0),
        "knapsack": lambda: KnapsackValue(p),
        "log": lambda: LogUtility(p),
    }[kind]()
    for total in (2 * p.size + 500, 3 * p.size + 1, 9 * p.size + 7):
        limits = Limits(total, 2, 20)
        fast = solve(value, limits, "threshold")
        check_feasible(fast, limits)
        np.testing.assert_array_equal(fast, solve(value, limits, "heap"))


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
        check_feasible(fast, limits)
        assert fast.tolist() == solve(value, limits, "heap").tolist()


def test_the_search_does_not_crawl_where_gains_are_flat_in_floats(time_limit):
    p = np.resize([1e-299, 1e-200, 1e-120, 1e-299], 300)
    for value in (KnapsackValue(p), CobaValue(p, alpha=0.3, beta=4.0, tau=8.0)):
        with time_limit(10):
            for total in (601, 917, 2500, 30_001):
                solve(value, Limits(total, 2, 128))


# -- laws that need no second solver -------------------------------------------------------


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


# -- ties and what is left -----------------------------------------------------------------


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
    check_feasible(budgets, limits)
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
        check_feasible(budgets, Limits(total, 2, 10))
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
    check_feasible(budgets, Limits(30, 2, 20))
    assert sorted(budgets.tolist()) == [5, 7, 9, 9]


# -- limits --------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"low": -1}, "low"),
        ({"low": 9, "high": 8}, r"low \(9\) is above high \(8\)"),
        ({"total": 16.0}, "total must be a whole number, got 16.0"),
        ({"total": "16"}, "total must be a whole number"),
        ({"total": None}, "total must be a whole number"),
        ({"high": 12.5}, "high must be a whole number"),
        ({"low": np.nan}, "low must be a whole number"),
        ({"total": True}, "total must be a whole number"),
        ({"low": False}, "low must be a whole number"),
    ],
)
def test_limits_that_make_no_sense(given_, message):
    with pytest.raises(InputError, match=message):
        Limits(**{"total": 16, "low": 2, "high": 8, **given_})


def test_limits_take_numpy_integers_as_plain_ones():
    limits = Limits(np.int64(16), np.int32(2), np.uint8(8))
    assert limits == Limits(16, 2, 8)
    assert all(type(x) is int for x in (limits.total, limits.low, limits.high))


def test_an_unknown_solver_suggests_the_nearest():
    value = CobaValue(np.array([0.5]), alpha=2.0, beta=3.0, tau=8.0)
    with pytest.raises(InputError, match="did you mean 'threshold'"):
        solve(value, Limits(8), "treshold")


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
