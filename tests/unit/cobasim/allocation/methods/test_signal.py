"""The allocator from first principles: moments, solver, and what it maximises."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.allocation import Limits, Observation, make_allocator, uniform_budgets
from cobasim.allocation.methods.signal import (
    CLASSES,
    Signal,
    _best_mean,
    _rising_mean,
    belief,
    classes,
    greedy,
    halved,
    moments,
    nodes,
)
from cobasim.updates import UPDATES, expected_group_update


def observe(a, b):
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return Observation(a / (a + b), a + b, posterior=(a, b))


def ratio_of(allocator, obs, budgets, weighting):
    """S / sqrt(V) of budgets (..., m)."""
    most = int(budgets.max())
    signal, nuisance = allocator.tables(halved(belief(*obs.beta())), most, weighting)
    prompts = np.arange(budgets.shape[-1])
    return signal[budgets, prompts].sum(axis=-1) / nuisance[budgets, prompts].sum(axis=-1) ** 0.5


# -- moments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", UPDATES)
def test_the_mean_update_is_the_exact_one(kind):
    update, _, _ = moments(40, kind)
    for n in (0, 1, 2, 3, 17, 40):
        exact = expected_group_update(nodes(), np.full(nodes().size, n), kind)
        np.testing.assert_allclose(update[:, n], exact, atol=1e-12)


def test_the_other_moments_in_closed_form():
    _, square, second = moments(24, "grpo")
    p, n = nodes()[:, None], np.arange(2, 25)
    np.testing.assert_allclose(square[:, 2:], (1 - p**n - (1 - p) ** n) / n, atol=1e-12)
    np.testing.assert_allclose(second[:, 2:], p * (1 - p) * (n - 1) / n, atol=1e-12)


@pytest.mark.parametrize("kind", UPDATES)
def test_moments_are_the_same_at_p_and_1_minus_p(kind):
    """Tables count on it: they add up the beliefs in the two."""
    np.testing.assert_allclose(nodes() + nodes()[::-1], 1.0, rtol=1e-14)
    for table in moments(40, kind):
        np.testing.assert_allclose(table, table[::-1], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("weighting", ["rollout", "prompt"])
def test_a_table_holds_means_over_the_belief(weighting):
    believed = belief(np.array([0.5, 3.0, 150.0, 30.0]), np.array([4.0, 3.0, 200.0, 0.7]))
    signal, nuisance = Signal(ratio=0.7, weighting=weighting).tables(
        halved(believed), 20, weighting
    )
    update, square, second = moments(20, "grpo")
    share = believed / believed.sum(axis=0)
    weight = np.ones(21) if weighting == "prompt" else np.arange(21.0)
    noise = weight**2 * (square + 0.7 * second)
    np.testing.assert_allclose(signal, (weight * update).T @ share, rtol=1e-12)
    np.testing.assert_allclose(nuisance, noise.T @ share, rtol=1e-12)


@given(a=st.floats(0.3, 150), b=st.floats(0.3, 150))
def test_a_belief_has_the_mean_and_variance_of_its_beta(a, b):
    weights = belief(np.array([a]), np.array([b]))[:, 0]
    assert 0.3 < weights.max() < 30.0  # nothing under- or overflows
    weights /= weights.sum()
    mean, variance = a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))
    assert weights @ nodes() == pytest.approx(mean, abs=0.015)
    assert weights @ (nodes() - mean) ** 2 == pytest.approx(variance, abs=0.015)


# -- the solver -------------------------------------------------------------------------------


def best_total(value, limits):
    """The largest total value, by a dynamic program over prompts."""
    best = {0: 0.0}
    for row in value:
        reached: dict[int, float] = {}
        for spent, total in best.items():
            for n in range(limits.low, limits.high + 1):
                reached[spent + n] = max(reached.get(spent + n, -np.inf), total + row[n])
        best = reached
    return best[limits.total]


def feasible(draw, size):
    low, high = draw(st.integers(0, 2)), draw(st.integers(4, 7))
    return Limits(draw(st.integers(size * low, size * high)), low, high)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_greedy_is_optimal_for_concave_rows(data):
    size = data.draw(st.integers(1, 5))
    limits = feasible(data.draw, size)
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    gains = -np.sort(-rng.normal(size=(size, limits.high)), axis=1)
    value = np.concatenate([np.zeros((size, 1)), np.cumsum(gains, axis=1)], axis=1)
    budgets = greedy(value.T, np.arange(size), limits)
    assert budgets.sum() == limits.total
    assert budgets.min() >= limits.low
    assert budgets.max() <= limits.high
    assert value[np.arange(size), budgets].sum() == pytest.approx(best_total(value, limits))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_greedy_loses_at_most_one_prompts_distance_to_its_envelope(data):
    size = data.draw(st.integers(1, 5))
    limits = feasible(data.draw, size)
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    n = np.arange(limits.high + 1)
    scale, bend = rng.uniform(0.5, 3.0, (size, 1)), rng.uniform(1.0, 4.0, (size, 1))
    value = scale * n**2 / (n**2 + bend**2)  # convex at first, then concave
    budgets = greedy(value.T, np.arange(size), limits)
    assert budgets.sum() == limits.total
    assert budgets.min() >= limits.low
    assert budgets.max() <= limits.high
    got, best = value[np.arange(size), budgets].sum(), best_total(value, limits)
    assert got <= best + 1e-9
    slack = 0.0
    for row in value:
        for left, right in itertools.combinations(range(limits.low, limits.high + 1), 2):
            inside = np.arange(left, right + 1)
            chord = row[left] + (row[right] - row[left]) * (inside - left) / (right - left)
            slack = max(slack, float((chord - row[inside]).max()))
    assert best - got <= slack + 1e-9


def curves(rng, size, high):
    """Values (size, high + 1) that are convex at first and concave then, or concave alone."""
    n = np.arange(high + 1)
    scale, power = rng.uniform(0.1, 3.0, (size, 1)), rng.uniform(0.5, 1.9, (size, 1))
    return scale * n**power - rng.uniform(0.01, 0.2, (size, 1)) * n**2


@given(seed=st.integers(0, 10**6), size=st.integers(1, 30), mean=st.integers(2, 20))
@settings(max_examples=80, deadline=None)
def test_a_part_of_the_table_gives_the_budgets_of_the_whole_or_none(seed, size, mean):
    value = curves(np.random.default_rng(seed), size, 40).T
    limits = Limits(size * mean, 2, 40)
    whole = greedy(value, np.arange(size), limits)
    told = [greedy(value[: width + 1], np.arange(size), limits) for width in range(mean, 41)]
    assert told[-1] is not None
    for budgets in told:
        if budgets is not None:
            np.testing.assert_array_equal(budgets, whole)


def test_columns_in_another_order_are_those_of_their_prompts():
    value = curves(np.random.default_rng(0), 9, 30).T
    order = np.random.default_rng(1).permutation(9)
    limits = Limits(90, 2, 30)
    plain = greedy(value, np.arange(9), limits)
    np.testing.assert_array_equal(greedy(value[:, order], np.argsort(order), limits), plain)


@pytest.mark.parametrize("size", [12, CLASSES + 500])
@pytest.mark.parametrize("ratio", [0.0, 0.3])
def test_tables_grow_where_a_few_prompts_get_most_of_the_rollouts(size, ratio):
    sharp, dead = np.full(size // 12, 200.0), np.full(size - size // 12, 0.01)
    obs = observe(np.append(sharp, dead), np.append(sharp, dead + 399.99))
    limits = Limits(10 * size, 2, 128)
    budgets = Signal(ratio=ratio, weighting="prompt")(obs, limits)
    assert budgets.sum() == limits.total
    assert budgets[: sharp.size].min() > 90  # (10 - 2) * 12 + 2 = 98 if the others get two each


# -- the allocator ----------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10**6), size=st.integers(1, 40), mean=st.floats(2, 20),
    ratio=st.sampled_from([0.0, 0.3, 4.0]), weighting=st.sampled_from(["rollout", "prompt"]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_never_below_uniform_in_what_it_maximises(seed, size, mean, ratio, weighting):
    rng = np.random.default_rng(seed)
    obs = observe(0.1 + rng.gamma(1, 4, size), 0.1 + rng.gamma(1, 4, size))
    limits = Limits(round(size * mean), 2, 64)
    allocator = Signal(ratio=ratio, weighting=weighting)
    budgets = allocator(obs, limits)
    assert budgets.sum() == limits.total
    assert budgets.min() >= 2
    assert budgets.max() <= 64
    even = uniform_budgets(size, limits)
    own, plain = (ratio_of(allocator, obs, n, weighting) for n in (budgets, even))
    assert own >= plain * (1 - 1e-12)


@pytest.mark.parametrize("weighting", ["rollout", "prompt"])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 4.0])
def test_close_to_the_best_of_all_budgets(weighting, ratio):
    rng = np.random.default_rng(3)
    limits = Limits(40, 2, 20)
    every = np.array([n for n in itertools.product(range(2, 21), repeat=4) if sum(n) == 40])
    for _ in range(5):
        obs = observe(0.2 + rng.gamma(1, 4, 4), 0.2 + rng.gamma(1, 4, 4))
        allocator = Signal(ratio=ratio, weighting=weighting)
        best = ratio_of(allocator, obs, every, weighting).max()
        assert ratio_of(allocator, obs, allocator(obs, limits), weighting) >= 0.97 * best


@pytest.mark.parametrize("kind", sorted(UPDATES))
@pytest.mark.parametrize("weighting", ["rollout", "prompt"])
def test_prompts_may_get_none_where_low_is_0(weighting, kind):
    """One rollout teaches nothing and two bring more noise than signal: a dip, then a rise."""
    rng = np.random.default_rng(1)
    rate = rng.binomial(8, rng.beta(0.6, 0.6, 64)) / 8
    obs = observe(8 * rate + 2, 8 * (1 - rate) + 2)
    even = uniform_budgets(64, Limits(512, 0, 64))
    scores = []
    for low in (0, 1, 2):
        allocator = Signal(weighting=weighting, update=kind)
        budgets = allocator(obs, Limits(512, low, 64))
        assert budgets.sum() == 512
        scores.append(ratio_of(allocator, obs, budgets, weighting))
    assert scores[0] >= 0.999 * max(scores)  # more freedom costs nothing
    assert scores[0] > 1.003 * ratio_of(allocator, obs, even, weighting)


@pytest.mark.parametrize("weighting", ["rollout", "prompt"])
def test_a_rollout_each_is_gathered_where_low_is_0(weighting):
    obs = observe([4] * 6, [4] * 6)
    allocator = Signal(weighting=weighting)
    budgets = allocator(obs, Limits(6, 0, 6))
    assert budgets.sum() == 6
    assert np.isfinite(ratio_of(allocator, obs, budgets, weighting))
    assert set(budgets) != {1}


@given(seed=st.integers(0, 10**6), size=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_the_best_mean_gain_is_found_with_and_without_a_dip(seed, size):
    gains = np.diff(curves(np.random.default_rng(seed), size, 30).T, axis=0).astype(np.float32)
    for mean, straight in (_rising_mean(gains), _best_mean(gains)):
        means = gains.cumsum(axis=0) / np.arange(1, 31)[:, None]
        np.testing.assert_allclose(mean, means.max(axis=0), rtol=1e-4, atol=1e-4)
        assert all(a.sum() >= b.sum() for a, b in itertools.pairwise(straight))
    dip = np.vstack([np.zeros((1, size)), np.full((1, size), -0.1), gains])
    mean, straight = _best_mean(dip)
    best = np.sum([np.zeros(size, dtype=int), *straight], axis=0)
    means = dip.cumsum(axis=0) / np.arange(1, 33)[:, None]
    np.testing.assert_allclose(means[best, np.arange(size)], mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [30, 31])
def test_a_high_bound_costs_nothing_where_nobody_gets_so_much(size):
    budgets = np.full(size, 16)
    obs = observe(budgets * 0.4 + 1, budgets * 0.6 + 1)
    moments.cache_clear()
    Signal()(obs, Limits(16 * size, 2, 4096))
    largest = max(table.shape[1] for table in moments(64, "grpo"))
    assert largest == 65
    assert moments.cache_info().currsize == 1


def test_shared_nuisance_evens_out_what_one_rollout_s_concentrates():
    obs = observe([8, 1, 15, 2], [8, 15, 1, 2])
    limits = Limits(64, 2, 48)
    spread = [
        np.ptp(Signal(ratio=ratio, weighting="rollout")(obs, limits)) for ratio in (0.0, 0.3, 10.0)
    ]
    assert spread[0] > spread[1] > spread[2]


def test_a_rate_once_measured_as_one_is_tried_again():
    obs = observe([3.0, 5.0], [1.0, 5.0])  # two of two on a prior of weight 2, and a known half
    assert Signal(weighting="prompt")(obs, Limits(32, 2, 30)).min() > 2


def test_classes_of_a_large_batch_lose_little():
    rng = np.random.default_rng(0)
    size = CLASSES + 1000
    obs = observe(0.2 + rng.gamma(1, 3, size), 0.2 + rng.gamma(1, 5, size))
    limits = Limits(16 * size, 2, 128)
    kind, a, _ = classes(*obs.beta())
    assert kind.shape == (size,)
    assert kind.max() < a.size <= 64 * 36
    for weighting in ("rollout", "prompt"):
        allocator = Signal(weighting=weighting)
        large = allocator(obs, limits)
        assert large.sum() == limits.total
        part = slice(0, CLASSES)
        fine = allocator(observe(*(x[part] for x in obs.beta())), Limits(16 * CLASSES, 2, 128))
        coarse = large[part]
        assert np.abs(fine - coarse).mean() < 1.0


def test_it_follows_the_learner_s_weighting():
    obs = observe([8, 1, 15, 2], [8, 15, 1, 2])
    limits = Limits(64, 2, 48)
    for weighting in ("rollout", "prompt"):
        told = Observation(
            obs.pass_rate, obs.attempts, posterior=obs.posterior, weighting=weighting
        )
        own = make_allocator("signal", weighting=weighting)(obs, limits)
        np.testing.assert_array_equal(make_allocator("signal")(told, limits), own)


# -- with prompts chosen first ---------------------------------------------------------------


def test_signal_skip_takes_the_prompts_of_greso_and_divides_as_signal_does():
    rng = np.random.default_rng(1)
    size, limits = 32, Limits(128, 2, 64)
    a, b = 0.3 + rng.gamma(1, 3, 2 * size), 0.3 + rng.gamma(1, 3, 2 * size)
    streak = rng.integers(-4, 5, 2 * size)

    def seen(weighting):
        memory = {"streak": streak.copy(), "explore": np.array([0.5, 0.5])}
        return Observation(
            a / (a + b), a + b, posterior=(a, b), weighting=weighting, memory=memory,
            prompts=np.arange(2 * size), batch=np.repeat([0, 1], size),
            rng=np.random.default_rng(7),
        )  # fmt: skip

    for weighting in ("rollout", "prompt"):
        plain = make_allocator("greso")(seen(weighting), limits)
        own = make_allocator("signal-skip")(seen(weighting), limits)
        np.testing.assert_array_equal(own > 0, plain > 0)
        assert own.sum() == plain.sum()
        chosen = plain > 0
        divided = Signal(weighting=weighting)(
            seen(weighting).take(chosen), Limits(int(plain.sum()), 2, 64)
        )
        np.testing.assert_array_equal(own[chosen], divided)
