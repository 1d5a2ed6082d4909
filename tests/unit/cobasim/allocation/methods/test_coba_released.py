"""CoBA as its authors released it, rule by rule."""

import heapq

import numpy as np
import pytest
from batches import observe
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import totals

from cobasim.allocation import CobaValue, Limits, make_allocator


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
