import dataclasses
import heapq
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import pass_rates, totals

import cobasim
from cobasim.allocation import (
    ALLOCATORS,
    PEERS,
    SOLVERS,
    Allocator,
    CobaValue,
    KnapsackValue,
    Limits,
    Observation,
    ValueAllocator,
    allocate,
    describe_allocators,
    make_allocator,
    one_shot,
    solve,
)
from cobasim.errors import InputError

NAMES = sorted(one_shot())
VALUED = [name for name in NAMES if issubclass(ALLOCATORS[name], ValueAllocator)]
laws = settings(max_examples=80, deadline=None)


def observe(rates, attempts=None, **known):
    p = np.asarray(rates, dtype=np.float64)
    tried = np.full(p.shape, 16.0) if attempts is None else np.asarray(attempts, dtype=np.float64)
    return Observation(p, tried, **known)


@st.composite
def observations(draw, max_prompts=12):
    p = draw(st.lists(pass_rates, min_size=1, max_size=max_prompts))
    tried = draw(
        st.lists(st.sampled_from([0, 0.3, 2, 16]), min_size=len(p), max_size=len(p))
        | st.just([0] * len(p))
        | st.just([8] * len(p))
    )
    failure_rate = draw(st.none() | st.floats(0, 1))
    return observe(p, tried, failure_rate=failure_rate, progress=draw(st.floats(0, 1)))


def check_feasible(budgets, limits, m):
    assert isinstance(budgets, np.ndarray)
    assert budgets.dtype == np.int64
    assert budgets.shape == (m,)
    assert int(budgets.sum()) == limits.total
    assert budgets.min() >= limits.low
    assert budgets.max() <= limits.high


# -- laws of every allocator ---------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@laws
@given(obs=observations(), data=st.data())
def test_budgets_are_whole_within_bounds_and_sum_to_the_total(name, obs, data):
    low = data.draw(st.integers(1, 4))
    high = low + data.draw(st.integers(0, 40))
    limits = Limits(data.draw(totals(obs.pass_rate.size, low, high)), low, high)
    before = obs.pass_rate.copy(), obs.attempts.copy()
    check_feasible(make_allocator(name)(obs, limits), limits, obs.pass_rate.size)
    assert np.array_equal(before[0], obs.pass_rate)
    assert np.array_equal(before[1], obs.attempts)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rates", [[0.0], [1.0], [0.0, 0.0, 0.0, 0.0, 0.0], [1.0] * 7, [0.5] * 6,
                                   [0.0, 1.0] * 5, [1e-300] * 4, [1 - 1e-16] * 3])  # fmt: skip
@pytest.mark.parametrize("tried", [0.0, 16.0])
def test_batches_of_one_kind(name, rates, tried):
    allocator = make_allocator(name)
    m = len(rates)
    for failure_rate in (None, 0.0, 0.3, 1.0):
        obs = observe(rates, np.full(m, tried), failure_rate=failure_rate)
        for total in {2 * m, 2 * m + 1, 5 * m + 3, 9 * m - 1, 9 * m}:
            limits = Limits(min(total, 9 * m), 2, 9)
            check_feasible(allocator(obs, limits), limits, m)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tried", [[16.0] * 4, [0.0] * 4, [16.0, 0.0, 16.0, 0.0]])
def test_an_infeasible_total_says_which_totals_are_feasible(name, tried):
    allocator = make_allocator(name)
    for rates in ([0.2, 0.5, 0.9, 0.4], [0.0] * 4, [0.0, 0.5, 1.0, 0.2]):
        for total in (-3, 0, 7, 41, 10**12):
            with pytest.raises(InputError, match=r"4 prompts.* 8 to 40"):
                allocator(observe(rates, tried, failure_rate=0.5), Limits(total, 2, 10))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_without_any_gain_everybody_gets_the_same(name, rate):
    for m, total in ((7, 24), (5, 49), (10, 33), (1, 4)):
        budgets = make_allocator(name)(observe([rate] * m, failure_rate=0.5), Limits(total, 2, 10))
        assert budgets.max() - budgets.min() <= 1


# hit-utility: a prompt that has only failed is still worth a rollout, so ties go by index
@pytest.mark.parametrize("name", sorted({*NAMES} - {"coba-released", "hit-utility"}))
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_what_does_not_divide_is_not_given_to_the_first_prompts(name, rate):
    budgets = make_allocator(name)(observe([rate] * 8, failure_rate=0.5), Limits(28, 2, 10))
    assert budgets.tolist() == [3, 4, 3, 4, 3, 4, 3, 4]


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_unseen_prompts_is_uniform(name):
    obs = observe([0.5] * 8, np.zeros(8), failure_rate=0.4)
    budgets = make_allocator(name)(obs, Limits(28, 2, 10))
    assert budgets.tolist() == [3, 4, 3, 4, 3, 4, 3, 4]


@pytest.mark.parametrize("name", [name for name in VALUED if name != "coba-released"])
@laws
@given(obs=observations(), data=st.data())
def test_unseen_prompts_get_the_uniform_budget_whatever_is_written_in_their_rate(name, obs, data):
    allocator, m = make_allocator(name), obs.pass_rate.size
    limits = Limits(data.draw(totals(m, 2, 20)), 2, 20)
    budgets = allocator(obs, limits)
    uniform = make_allocator("uniform")(obs, limits)
    unseen = obs.attempts == 0
    assert budgets[unseen].tolist() == uniform[unseen].tolist()
    scrambled = np.where(unseen, 0.77, obs.pass_rate)
    again = allocator(dataclasses.replace(obs, pass_rate=scrambled), limits)
    assert again.tolist() == budgets.tolist()


@pytest.mark.parametrize("name", VALUED)
@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_the_solver_changes_no_value(name, solver):
    rng = np.random.default_rng(1)
    for _ in range(5):
        p = np.round(rng.uniform(0.01, 0.99, size=9), 6)
        obs, limits = observe(p, failure_rate=0.6), Limits(60, 2, 20)
        fast = make_allocator(name)(obs, limits)
        assert make_allocator(name, solver=solver)(obs, limits).tolist() == fast.tolist()


@pytest.mark.parametrize("name", VALUED)
def test_every_value_allocator_gives_its_value_function(name):
    value = make_allocator(name).value(observe([0.2, 0.5], failure_rate=0.6))
    assert np.all(np.isfinite(value.log_gain(2)))


@pytest.mark.parametrize("name", VALUED)
@laws
@given(order=st.permutations(range(1, 12)), failure_rate=st.floats(0, 1), total=st.integers(22, 99))
def test_permuting_prompts_permutes_budgets(name, order, failure_rate, total):
    p = np.arange(1, 12) / 12.1  # all inside the range that coba-released explores
    index = np.array(order) - 1
    allocator, limits = make_allocator(name), Limits(total, 2, 30)
    budgets = allocator(observe(p, failure_rate=failure_rate), limits)
    if name == "coba-released" or name.startswith("vip"):
        # leftovers, or a total too small for the rule, are spread evenly, which knows no prompt
        limits = Limits(total, 2, 30)
        shuffled = allocator(observe(p[index], failure_rate=failure_rate), limits)
        assert np.all(np.abs(shuffled - budgets[index]) <= 1)
    else:
        shuffled = allocator(observe(p[index], failure_rate=failure_rate), limits)
        assert shuffled.tolist() == budgets[index].tolist()


# -- the rules for the shape ---------------------------------------------------------------


@pytest.mark.parametrize(("rate", "alpha"), [(0.6957, 7.26), (0.455, 4.50), (0.342, 2.54)])
def test_coba_comes_to_the_alphas_of_figure_4(rate, alpha):
    ours = make_allocator("coba").shape(observe([0.1, 0.9], failure_rate=rate))
    assert ours[0] == pytest.approx(alpha, abs=0.005)
    assert sum(ours) == pytest.approx(11)
    mirrored = make_allocator("coba-explore-first").shape(observe([0.1, 0.9], failure_rate=rate))
    assert mirrored[0] == pytest.approx(11 - alpha, abs=0.005)  # mirrored at 5.5
    assert mirrored[1] == pytest.approx(alpha, abs=0.005)


@given(st.floats(0, 1), st.floats(2.1, 30))
def test_coba_exploits_at_high_failure_and_the_mirror_explores(rate, kappa):
    obs = observe([0.3, 0.6], failure_rate=rate)
    alpha, beta = make_allocator("coba", kappa=kappa).shape(obs)
    if kappa > 2:
        mirrored, mirrored_beta = make_allocator("coba-explore-first", kappa=kappa).shape(obs)
        assert mirrored == pytest.approx(1 + (kappa - 1) - alpha)
        assert mirrored + mirrored_beta == pytest.approx(kappa)
    assert 1.0 <= alpha <= kappa - 1.0 + 1e-12
    assert beta == pytest.approx(kappa - alpha)


def test_before_the_first_measurement_coba_uses_the_seen_part_of_the_batch():
    rates, tried = [0.1, 0.3, 0.9], [16, 16, 0]
    coba = make_allocator("coba")
    assert coba.shape(observe(rates, tried)) == coba.shape(observe(rates, failure_rate=0.8))


def test_alpha_can_be_held():
    for name in ("coba", "coba-explore-first", "coba-released"):
        held = make_allocator(name, alpha=3.0, kappa=9.0)
        assert held.shape(observe([0.2, 0.7], failure_rate=0.9)) == (3.0, 6.0)


def test_the_fixed_shapes_of_table_3():
    obs = observe([0.2, 0.7], failure_rate=0.9)
    assert make_allocator("fixed-exploit").shape(obs) == (10.5, 1.5)
    assert make_allocator("fixed-explore").shape(obs) == (1.5, 10.5)
    assert make_allocator("fixed", alpha=2.0, beta=0.5).shape(obs) == (2.0, 0.5)
    assert make_allocator("uniform").shape(obs) is None
    assert make_allocator("knapsack").shape(obs) is None


def test_linear_decay_steps_from_ten_to_one():
    decay = make_allocator("linear-decay")
    alphas = [
        decay.shape(observe([0.5], failure_rate=0.1, progress=step / 500))[0] for step in range(501)
    ]
    assert sorted(set(alphas), reverse=True) == pytest.approx(range(10, 0, -1))
    assert alphas == sorted(alphas, reverse=True)
    counts = [alphas.count(a) for a in dict.fromkeys(alphas)]
    assert counts == [50] * 9 + [51]
    assert make_allocator("linear-decay", steps=1).shape(observe([0.5]))[0] == 10.0


@given(st.floats(0.05, 1), st.integers(40, 200))
def test_allocators_with_a_shape_solve_equation_9(rate, total):
    p = np.array([0.05, 0.2, 0.21, 0.5, 0.77, 0.93, 0.0, 1.0])
    obs, limits = observe(p, failure_rate=rate, progress=0.42), Limits(total, 2, 40)
    for name in ("coba", "coba-explore-first", "fixed-exploit", "fixed-explore", "linear-decay"):
        allocator = make_allocator(name, tau=5.0)
        alpha, beta = allocator.shape(obs)
        value = CobaValue(p, alpha=alpha, beta=beta, tau=5.0)
        assert allocator(obs, limits).tolist() == solve(value, limits, "heap").tolist()


def test_preference_follows_capability():
    p = np.array([0.15, 0.85])
    weak = make_allocator("coba")(observe(p, failure_rate=0.9), Limits(60, 2, 58))
    strong = make_allocator("coba")(observe(p, failure_rate=0.1), Limits(60, 2, 58))
    assert weak[1] > weak[0]
    assert strong[0] > strong[1]


# -- Knapsack's fallback -------------------------------------------------------------------


def knapsack_reference(p, total, low, high):
    """The fallback rule of Knapsack-RL's public code; then greedy on the mixed prompts."""
    mixed = [i for i, rate in enumerate(p) if 0 < rate < 1]
    budgets = [low] * len(p)
    if len(mixed) < len(p):
        needed = 0
        for i in mixed:
            larger = max(math.log(p[i]), math.log1p(-p[i]))  # log max(p, 1-p), also for tiny p
            needed += min(max(math.ceil(min(math.log(0.1) / larger, high)), low), high)
        excess = max(total - low * (len(p) - len(mixed)) - needed, 0)
        never = [i for i in range(len(p)) if p[i] == 0]
        rest = [i for i in range(len(p)) if p[i] in (0, 1)]
        for group in (never, rest):
            while excess > 0 and any(budgets[i] < high for i in group):
                for i in group:
                    if excess > 0 and budgets[i] < high:
                        budgets[i] += 1
                        excess -= 1
    left = total - sum(budgets)
    queue = [(-float(KnapsackValue(np.array([p[i]])).log_gain(low)[0]), i) for i in mixed]
    heapq.heapify(queue)
    while left > 0:
        _, i = heapq.heappop(queue)
        budgets[i] += 1
        left -= 1
        if budgets[i] < high:
            gain = KnapsackValue(np.array([p[i]])).log_gain(budgets[i])[0]
            heapq.heappush(queue, (-float(gain), i))
    return budgets


@laws
@given(st.lists(st.sampled_from([0.0, 0.0, 1.0, 1e-17, 1e-9, 0.06, 0.25, 0.5, 0.81, 1 - 1e-9]),
                min_size=1, max_size=9), st.data())  # fmt: skip
def test_knapsack_follows_its_fallback_rule(p, data):
    high = data.draw(st.integers(2, 40))
    total = data.draw(totals(len(p), 2, high))
    ours = make_allocator("knapsack")(observe(p), Limits(total, 2, high))
    theirs = np.array(knapsack_reference(p, total, 2, high))
    mixed = [i for i, rate in enumerate(p) if 0 < rate < 1]
    assert ours[mixed].tolist() == theirs[mixed].tolist()
    for rate in (0.0, 1.0):  # spaced over the batch, so only the shares are compared
        same = [i for i in range(len(p)) if p[i] == rate]
        assert sorted(ours[same].tolist()) == sorted(theirs[same].tolist())


def test_knapsack_gives_what_mixed_prompts_cannot_use_to_those_that_never_pass():
    # p = 0.5 needs ceil(ln 0.1 / ln 0.5) = 4 rollouts
    budgets = make_allocator("knapsack")(observe([0.5, 0.0, 1.0, 0.0]), Limits(30, 2, 20))
    assert budgets.tolist() == [4, 12, 2, 12]
    budgets = make_allocator("knapsack")(observe([0.5, 1.0, 1.0]), Limits(30, 2, 20))
    assert budgets.tolist() == [4, 13, 13]
    budgets = make_allocator("knapsack")(observe([0.5, 0.5, 0.0]), Limits(11, 2, 20))
    assert budgets.tolist() == [4, 4, 3]


def test_knapsack_without_a_prompt_to_fall_back_on_is_the_plain_optimum():
    p = np.array([0.2, 0.5, 0.9])
    limits = Limits(300, 2, 128)
    plain = solve(KnapsackValue(p), limits)
    assert make_allocator("knapsack")(observe(p), limits).tolist() == plain.tolist()


@pytest.mark.parametrize("tiny", [1e-6, 1e-12, 1e-17, 1e-300])
def test_a_prompt_that_almost_never_passes_is_the_most_expensive_to_mix(tiny):
    budgets = make_allocator("knapsack")(observe([tiny, 0.5, 0.0, 0.0]), Limits(200, 2, 128))
    assert budgets[:2].sum() == 128 + 4
    assert budgets[2:].tolist() == [34, 34]


# -- coba-released -------------------------------------------------------------------------


def released_reference(p, limits, alpha, beta):
    """The rules one by one: budgets of the heap's part, and what each group gets on top."""
    m, low, high = len(p), limits.low, limits.high
    hard = [i for i in range(m) if p[i] < 0.05]
    easy = [i for i in range(m) if p[i] > 0.99]
    explorable = [i for i in range(m) if 0.05 <= p[i] <= 0.99]
    left = limits.total - low * m
    budgets = [low] * m
    if explorable:
        share = len(explorable) / m
        part = int((0.8 if share > 0.5 else 0.6 + 0.4 * share) * left)
        part = min(part, len(explorable) * (high - low))
        mean = sum(p[i] for i in explorable) / len(explorable)
        variance = sum((p[i] - mean) ** 2 for i in explorable) / len(explorable)
        tau = 3 + 9 * min(1, variance / 0.1667)
        value = CobaValue(
            np.clip([p[i] for i in explorable], 0.01, 0.99), alpha=alpha, beta=beta, tau=tau
        )
        queue = [(-gain, j) for j, gain in enumerate(value.log_gain(low).tolist())]
        heapq.heapify(queue)
        for _ in range(part):
            _, j = heapq.heappop(queue)
            budgets[explorable[j]] += 1
            if budgets[explorable[j]] < high:
                gain = float(value.log_gain(budgets[explorable[j]])[j])
                heapq.heappush(queue, (-gain, j))
        left -= part
    on_top = []
    for group in (hard, explorable, easy):
        extra = min(left, sum(high - budgets[i] for i in group))
        on_top.append((group, extra))
        left -= extra
    assert left == 0
    return budgets, on_top


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from([0.0, 0.02, 0.049, 0.05, 0.99, 0.991, 1.0]) | st.floats(0, 1),
        min_size=1, max_size=14,
    ),
    st.floats(0, 1), st.data(),
)  # fmt: skip
def test_coba_released_rule_by_rule(p, failure_rate, data):
    high = data.draw(st.integers(2, 40))
    limits = Limits(data.draw(totals(len(p), 2, high)), 2, high)
    allocator = make_allocator("coba-released")
    obs = observe(p, failure_rate=failure_rate)
    alpha, beta = allocator.shape(obs)
    assert (alpha, beta) == make_allocator("coba").shape(obs)
    ours = allocator(obs, limits)
    base, on_top = released_reference(p, limits, alpha, beta)
    extra = ours - np.array(base)
    assert np.all(extra >= 0)
    for group, amount in on_top:
        assert extra[group].sum() == amount
    hard, explorable, easy = (group for group, _ in on_top)
    for group in (explorable, easy):  # evenly, up to the room
        open_ = [i for i in group if ours[i] < high]
        if open_:
            assert extra[group].max() <= extra[open_].min() + 1
    amount = on_top[0][1]
    weight = sum(1 - p[i] for i in hard)
    if hard and amount * max(1 - p[i] for i in hard) / weight <= high - 2:  # nobody overflows
        for i in hard:
            assert abs(extra[i] - amount * (1 - p[i]) / weight) < 1 + 1e-9


@pytest.mark.parametrize(
    "rates", [[0.05, 0.05, 0.5, 0.99, 0.0], [0.05, 0.0, 0.0, 1.0], [0.0499, 0.05, 0.99, 0.9901]]
)
def test_coba_released_explores_both_ends_of_its_range(rates):
    limits = Limits(20 * len(rates), 2, 60)
    obs = observe(rates, failure_rate=0.6)
    allocator = make_allocator("coba-released")
    base, on_top = released_reference(rates, limits, *allocator.shape(obs))
    extra = allocator(obs, limits) - np.array(base)
    assert [int(extra[group].sum()) for group, _ in on_top] == [amount for _, amount in on_top]


@pytest.mark.parametrize(
    "rates", [[0.3, 0.3], [0.3, 0.5, 0.4], [0.1, 0.8], [0.06, 0.94, 0.06, 0.9]]
)
def test_tau_of_coba_released_follows_the_variance(rates):
    p = np.array(rates)
    variance = sum((x - sum(rates) / len(rates)) ** 2 for x in rates) / len(rates)
    value = make_allocator("coba-released").value(observe(rates, failure_rate=0.6))
    np.testing.assert_allclose(p * (1 - p) / value.decay, 3 + 9 * min(1, variance / 0.1667))


def test_coba_released_counts_unseen_prompts_as_one_half():
    released, limits = make_allocator("coba-released"), Limits(80, 2, 30)
    some = observe([0.1, 0.9, 0.0, 1.0, 0.3], [16, 16, 16, 16, 0], failure_rate=0.5)
    seen = observe([0.1, 0.9, 0.0, 1.0, 0.5], failure_rate=0.5)
    assert released(some, limits).tolist() == released(seen, limits).tolist()


def test_coba_released_starts_at_alpha_kappa_minus_two():
    unseen = observe([0.5, 0.5], [0, 0])
    assert make_allocator("coba-released").shape(unseen) == (9.0, 2.0)
    assert make_allocator("coba-released", kappa=7.0).shape(unseen) == (5.0, 2.0)
    measured = observe([0.5, 0.5], [0, 0], failure_rate=0.3)
    assert make_allocator("coba-released").shape(measured) == make_allocator("coba").shape(measured)


def test_coba_released_with_a_tau_of_ones_own():
    obs, limits = observe([0.1, 0.3, 0.5, 0.6], failure_rate=0.6), Limits(60, 2, 40)
    spread, narrow = (make_allocator("coba-released", tau=tau)(obs, limits) for tau in (0.5, 50.0))
    assert narrow.max() > spread.max()


# -- names and parameters ------------------------------------------------------------------


def test_the_registry():
    own = {"uniform", "knapsack", "fixed-exploit", "fixed-explore", "fixed", "linear-decay",
           "coba", "coba-explore-first", "coba-released", "coba-variance", "coba-mixed",
           "coba-update", "signal", "signal-skip"}  # fmt: skip
    assert own == set(ALLOCATORS) - set(PEERS)
    rows = describe_allocators()
    assert [row["name"] for row in rows] == list(ALLOCATORS)
    json.dumps(rows)
    for row in rows:
        assert row["summary"]
        assert "\n" not in row["summary"]
        assert row["source"]
        for described in row["parameters"]:
            assert described["doc"]
            bounds = {"above", "at_least", "at_most", "choices"} & set(described)
            assert bounds, described
        built = make_allocator(row["name"])
        assert isinstance(built, Allocator)
        for described in row["parameters"]:
            assert getattr(built, described["name"]) == described["default"]


@pytest.mark.parametrize("kind", ["nan", "inf", "-inf", "below", "text", "bool", "none", "list"])
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_every_allocator_is_validated(name, kind):
    for row in describe_allocators():
        if row["name"] != name:
            continue
        for described in row["parameters"]:
            wrong = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "text": "8",
                     "bool": True, "none": None, "list": [8.0]}.get(kind)  # fmt: skip
            if kind == "below":
                if "choices" in described:
                    continue
                lowest = described.get("above", described.get("at_least", 0) - 1e-9)
                wrong = lowest
            if kind == "none" and described["default"] is None:
                make_allocator(name, **{described["name"]: None})
                continue
            with pytest.raises(InputError, match=described["name"]):
                make_allocator(name, **{described["name"]: wrong})


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("coba", {"tau": 0}, "tau must be above 0, got 0"),
        ("coba", {"tau": -1.0}, "tau must be above 0"),
        ("coba", {"kappa": 2}, "kappa must be above 2, got 2"),
        ("coba", {"kappa": 1.5}, "kappa must be above 2"),
        ("coba", {"alpha": 11.0}, "alpha must be below kappa"),
        ("coba", {"alpha": 12.0, "kappa": 11}, "alpha must be below kappa"),
        ("coba", {"alpha_max": 11.0}, "alpha_max must be below kappa"),
        ("coba", {"alpha_min": 5.0, "alpha_max": 4.0}, "alpha_min .* above alpha_max"),
        ("coba", {"gamma": 0.0}, "gamma"),
        ("fixed", {"alpha": 0.0}, "alpha"),
        ("fixed", {"beta": -1.0}, "beta"),
        ("linear-decay", {"steps": 0}, "steps"),
        ("linear-decay", {"steps": 2.5}, "steps"),
        ("coba", {"kapa": 9}, "did you mean 'kappa'"),
        ("fixed", {"alfa": 9}, "did you mean 'alpha'"),
        ("uniform", {"tau": 9}, "takes no parameters"),
        ("coba", {"solver": "heep"}, "did you mean 'heap'"),
        ("cobaa", {}, "did you mean 'coba'"),
        ("knapsak", {}, "did you mean 'knapsack'"),
        ("Uniform", {}, "did you mean 'uniform'"),
        ("CoBA", {}, "did you mean 'coba'"),
        ("fixed_explore", {}, "did you mean 'fixed-explore'"),
        ("zzzz", {}, "known: cero, "),
        ("cobasim.allocation:Allocator", {}, "Allocator"),
        ("cobasim.allocation:solve", {}, "not a subclass"),
        ("cobasim.allocation:Nothing", {}, "cannot import"),
        ("no.such.module:X", {}, "cannot import"),
        (".relative:X", {}, "cannot import"),
        (":X", {}, "cannot import"),
    ],
)
def test_what_cannot_be_built(name, parameters, message):
    with pytest.raises(InputError, match=message):
        make_allocator(name, **parameters)


def test_an_allocator_module_that_does_not_even_compile(tmp_path, monkeypatch):
    (tmp_path / "broken_allocator.py").write_text("def oops(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="broken_allocator"):
        make_allocator("broken_allocator:Mine")


@pytest.mark.filterwarnings("error")
def test_parameters_may_be_any_number():
    for given_ in (9, 9.0, np.float32(9), np.int64(9)):
        assert make_allocator("coba", kappa=given_).shape(observe([0.5], failure_rate=1.0)) == (
            8,
            1,
        )


# -- allocate ------------------------------------------------------------------------------

RATES = [0.05, 0.2, 0.21, 0.5, 0.77, 0.93, 0.0, 1.0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("failure_rate", [None, 0.2, 0.9])
def test_allocate_is_the_allocator_on_what_was_given(name, failure_rate):
    rate = 1 - float(np.mean(RATES)) if failure_rate is None else failure_rate
    obs = observe(RATES, [1] * len(RATES), failure_rate=rate, progress=0.7)
    wanted = make_allocator(name)(obs, Limits(120, 3, 50))
    given_ = allocate(
        RATES,
        120,
        allocator=name,
        low=3,
        high=50,
        failure_rate=failure_rate,
        attempts=obs.attempts,
        progress=0.7,
    )
    assert given_.dtype == np.int64
    assert given_.tolist() == wanted.tolist()


def test_allocate_defaults():
    budgets = allocate([0.1, 0.4, 0.8, 1.0], 64)
    assert budgets.tolist() == cobasim.allocate(np.array([0.1, 0.4, 0.8, 1.0]), total=64).tolist()
    assert budgets.tolist() == allocate([0.1, 0.4, 0.8, 1.0], 64, allocator="coba", low=2, high=128,
                                        failure_rate=None, solver="threshold").tolist()  # fmt: skip
    alpha, beta = make_allocator("coba").shape(observe([0.1, 0.4, 0.8, 1.0], failure_rate=0.425))
    value = CobaValue(np.array([0.1, 0.4, 0.8, 1.0]), alpha=alpha, beta=beta, tau=8.0)
    assert budgets.tolist() == solve(value, Limits(64), "heap").tolist()


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_allocate_passes_solver_and_parameters_on(solver):
    budgets = allocate(RATES, 120, solver=solver, kappa=15, tau=3.0, gamma=5, failure_rate=0.4)
    wanted = make_allocator("coba", kappa=15, tau=3.0, gamma=5)
    assert budgets.tolist() == wanted(observe(RATES, failure_rate=0.4), Limits(120)).tolist()
    held = allocate(RATES, 120, solver=solver, alpha=4.0)
    value = CobaValue(np.array(RATES), alpha=4.0, beta=7.0, tau=8.0)
    assert held.tolist() == solve(value, Limits(120), "heap").tolist()
    assert allocate(RATES, 120, allocator="uniform", solver=solver).tolist() == [15] * 8


def test_allocate_knows_unseen_prompts_when_told():
    budgets = allocate([0.3, 0.5, 0.9, 0.5], 64, attempts=[16, 0, 16, 0])
    assert budgets[[1, 3]].tolist() == [16, 16]
    assert allocate([0.5] * 4, 66, attempts=[0] * 4).tolist() == [16, 17, 16, 17]


def test_allocate_takes_any_array_and_leaves_it_alone():
    p = np.array(RATES)
    wanted = allocate(p, 120).tolist()
    strided = np.repeat(p, 3)[::3]
    reversed_ = p[::-1].copy()[::-1]
    assert not strided.flags["C_CONTIGUOUS"]
    frozen = p.copy()
    frozen.flags.writeable = False
    sixteenths = np.arange(17) / 16
    for array in (RATES, tuple(RATES), strided, reversed_, frozen):
        before = np.array(array)
        assert allocate(array, 120).tolist() == wanted
        assert np.array_equal(np.array(array), before)
    exact = allocate(sixteenths, 200).tolist()
    for dtype in (np.float32, np.float16, ">f8"):
        assert allocate(sixteenths.astype(dtype), 200).tolist() == exact
    assert allocate(np.array([0, 1, 1, 0]), 17).sum() == 17
    assert allocate(np.array([True, False]), 17).sum() == 17
    assert allocate(RATES, np.int32(120)).tolist() == wanted


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ([], "empty"),
        ([0.5, math.nan], "1 is nan"),
        ([0.5, 1.5, -1], r"1 is 1.5 \(and 1 more\)"),
        ([-0.1], r"in \[0, 1\]"),
        ([math.inf], "inf"),
        ([[0.1, 0.2]], "flat"),
        (["a", "b"], "numbers"),
        ([None, 0.5], "0 is nan"),
        (None, "pass rates"),
        ([10**400], "pass rates"),
        ([[0.1], [0.1, 0.2]], "flat"),
        ({"pass_rate": [0.1]}, "flat"),
        (np.array([0.5 + 1j, 0.2]), "numbers"),
        (0.5, "flat"),
    ],
)
@pytest.mark.filterwarnings("error::numpy.exceptions.ComplexWarning")
def test_allocate_refuses_what_are_no_pass_rates(rates, message):
    with pytest.raises(InputError, match=message):
        allocate(rates, 32)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"total": 3}, "2 prompts.* 4 to 256"),
        ({"total": 257}, "2 prompts.* 4 to 256"),
        ({"total": 32.0}, "total must be a whole number"),
        ({"total": math.nan}, "total must be a whole number"),
        ({"total": "32"}, "total must be a whole number"),
        ({"total": True, "low": 0}, "total must be a whole number"),
        ({"low": 9, "high": 8}, "low"),
        ({"low": -1}, "low"),
        ({"failure_rate": 1.1}, "failure_rate"),
        ({"failure_rate": math.nan}, "failure_rate"),
        ({"failure_rate": "0.5"}, "failure_rate"),
        ({"progress": -0.1}, "progress"),
        ({"progress": math.nan}, "progress"),
        ({"progress": "half"}, "progress"),
        ({"progress": None}, "progress"),
        ({"attempts": [1]}, "attempts"),
        ({"attempts": [1, -1]}, "attempts"),
        ({"attempts": [1, math.nan]}, "attempts"),
        ({"attempts": ["a", "b"]}, "attempts"),
        ({"solver": "fast"}, "unknown solver 'fast'"),
        ({"solver": None}, "solver"),
        ({"allocator": "cobra"}, "did you mean 'coba'"),
        ({"allocator": None}, "allocator"),
        ({"tau": 0}, "tau"),
        ({"tau": math.inf}, "tau"),
        ({"kappa": 2}, "kappa"),
        ({"kappa": True}, "kappa"),
        ({"kappa": 10**400}, "kappa"),
        ({"taw": 2}, "did you mean 'tau'"),
    ],
)
def test_allocate_refuses_what_it_cannot_use(given_, message):
    with pytest.raises(InputError, match=message):
        allocate(**{"pass_rates": [0.5, 0.2], "total": 32, **given_})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("high", [2**62, sys.maxsize, 10**30])
def test_no_upper_bound_may_be_said_by_any_large_number(name, high):
    wanted = allocate(RATES, 120, allocator=name, high=120, failure_rate=0.6)
    budgets = allocate(RATES, 120, allocator=name, high=high, failure_rate=0.6)
    assert budgets.sum() == 120
    if name != "knapsack":  # its fallback measures what mixed prompts can use by the bound
        assert budgets.tolist() == wanted.tolist()


def test_input_errors_are_value_errors():
    with pytest.raises(ValueError, match="empty"):
        allocate([], 3)


# -- the module alone ----------------------------------------------------------------------


def test_the_allocator_module_loads_numpy_and_scipy_only():
    code = (
        "import sys; import cobasim.allocation; "
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    assert "numpy" in loaded
    heavy = {"torch", "vllm", "transformers", "streamlit", "gymnasium", "plotly", "pydantic",
             "pandas", "pyarrow", "rich", "typer", "joblib", "cobatrain"}  # fmt: skip
    assert not loaded & heavy
    ours = {name for name in loaded if name in ("cobasim",)}
    assert ours == {"cobasim"}
