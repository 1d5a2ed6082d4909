"""Value functions against their definitions in exact arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import EDGES, coba_value, knapsack_value, log_beta_function, scales, shapes
from scipy import stats

from cobasim.allocation import CobaValue, KnapsackValue, Limits, ValueFunction, solve
from cobasim.allocation.solving.values import log_beta_density, saturation
from cobasim.errors import InputError

inside = st.one_of(
    st.floats(1e-300, 1 - 1e-16), st.integers(1, 15).map(lambda k: k / 16), st.floats(1e-9, 1e-2)
)


edges_or_inside = st.one_of(st.sampled_from(EDGES), inside)
laws = settings(max_examples=150, deadline=None)


def rounding(p, alpha, beta):
    """How far a float may be off in the log: a few ulp of the largest term of the sum."""
    terms = abs((alpha - 1) * math.log(p)) + abs((beta - 1) * math.log1p(-p))
    gammas = sum(abs(math.lgamma(x)) for x in (alpha, beta, alpha + beta))
    return 1e-13 * (1 + terms + gammas + 800)


# -- CoBA ----------------------------------------------------------------------------------


@laws
@given(st.integers(0, 300), inside, shapes, shapes, scales)
def test_coba_value_and_gain_equal_the_definition_in_high_precision(n, p, alpha, beta, tau):
    value = CobaValue(np.array([p]), alpha=alpha, beta=beta, tau=tau)
    if value.decay[0] * (n + 1) > 600:  # 400 digits do not resolve 1 - exp(-x) beyond that
        return
    log_value, log_gain = coba_value(n, p, alpha, beta, tau)
    tolerance = rounding(p, alpha, beta)
    assert value.log_gain(n)[0] == pytest.approx(log_gain, abs=tolerance)
    assert value.log_value(n)[0] == pytest.approx(log_value, abs=tolerance)


@laws
@given(st.integers(1, 400), st.floats(0.05, 0.95), st.floats(0.3, 12), st.floats(0.3, 12))
def test_coba_value_is_saturation_times_density(n, p, alpha, beta):
    value = CobaValue(np.array([p]), alpha=alpha, beta=beta, tau=8.0)
    expected = saturation(n, p, tau=8.0) * stats.beta.pdf(p, alpha, beta)
    assert value.value(n)[0] == pytest.approx(expected, rel=1e-10)
    assert value.gain(n)[0] == pytest.approx(
        (saturation(n + 1, p, tau=8.0) - saturation(n, p, tau=8.0))
        * stats.beta.pdf(p, alpha, beta),
        rel=1e-6,
        abs=1e-14 * stats.beta.pdf(p, alpha, beta),
    )


@pytest.mark.parametrize("alpha", [0.01, 0.5, 1.0, 1.5, 500.0])
@pytest.mark.parametrize("beta", [0.01, 0.5, 1.0, 1.5, 500.0])
def test_coba_is_worth_nothing_where_every_outcome_is_the_same(alpha, beta):
    value = CobaValue(np.array([0.0, 1.0, 0.5]), alpha=alpha, beta=beta, tau=8.0)
    for n in (0, 1, 2, 128):
        assert value.log_gain(n)[:2].tolist() == [-np.inf, -np.inf]
        assert value.log_value(n)[:2].tolist() == [-np.inf, -np.inf]
        assert value.gain(n)[:2].tolist() == [0.0, 0.0]
        assert value.gain(n)[2] > 0 or value.log_gain(n)[2] > -np.inf
    assert value.log_value(0).tolist() == [-np.inf] * 3
    # the limit agrees: with alpha or beta below 1 the density is infinite there, the value is not
    near = CobaValue(np.array([1e-300, 1 - 1e-16]), alpha=alpha, beta=beta, tau=8.0)
    assert np.all(np.isfinite(near.log_gain(2)))
    assert near.gain(2)[0] <= 1e-2


def test_coba_stays_finite_in_log_space_where_the_linear_value_underflows():
    rates = np.array([0.9, 0.95, 0.99])
    value = CobaValue(rates, alpha=0.01, beta=500.0, tau=8.0)
    assert np.all(value.gain(2) == 0.0)
    assert np.all(np.isfinite(value.log_gain(2)))
    assert np.all(np.isfinite(value.log_value(2)))
    # hence the solvers still know which prompt is worth more
    for solver in ("threshold", "heap"):
        assert solve(value, Limits(30, 2, 26), solver).tolist() == [26, 2, 2]


@given(st.floats(0, 1, allow_subnormal=False), shapes, shapes)
def test_density_equals_the_beta_distribution(p, alpha, beta):
    ours = float(log_beta_density(p, alpha, beta))
    theirs = float(stats.beta.logpdf(p, alpha, beta))
    if math.isfinite(theirs):
        assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)
    else:
        assert ours == theirs or 0.0 < p < 1.0


def test_density_at_the_ends():
    assert log_beta_density(0.0, 0.5, 2.0) == np.inf
    assert log_beta_density(0.0, 1.0, 2.0) == pytest.approx(math.log(2))
    assert log_beta_density(0.0, 1.5, 2.0) == -np.inf
    assert log_beta_density(1.0, 2.0, 0.5) == np.inf
    assert log_beta_density(1.0, 2.0, 1.0) == pytest.approx(math.log(2))
    assert log_beta_density(1.0, 2.0, 1.5) == -np.inf
    assert log_beta_density(0.25, 3.0, 4.0) == pytest.approx(
        2 * math.log(0.25) + 3 * math.log(0.75) - log_beta_function(3.0, 4.0)
    )


@pytest.mark.parametrize(
    "given_", [{"alpha": 0.0}, {"alpha": -1.0}, {"alpha": np.nan}, {"beta": 0}, {"beta": -2},
               {"tau": 0.0}, {"tau": -1.0}, {"tau": np.inf}, {"tau": np.nan},
               {"alpha": np.array([1.0, 0.0])}, {"beta": np.array([np.nan, 1.0])}]
)  # fmt: skip
def test_coba_refuses_impossible_shapes(given_):
    with pytest.raises(InputError, match=next(iter(given_))):
        CobaValue(np.array([0.2, 0.5]), **{"alpha": 2.0, "beta": 3.0, "tau": 8.0, **given_})


# -- Knapsack ------------------------------------------------------------------------------


@laws
@given(st.integers(1, 60), st.one_of(inside, st.floats(1e-17, 1e-12)))
def test_knapsack_value_and_gain_equal_the_definition_exactly(n, p):
    value = KnapsackValue(np.array([p]))
    exact = knapsack_value(n + 1, p) - knapsack_value(n, p)
    if exact > 1e-290:
        assert value.gain(n)[0] == pytest.approx(float(exact), rel=1e-11)
    exact = knapsack_value(n, p)
    if n >= 2 and exact > 1e-290:
        assert value.value(n)[0] == pytest.approx(float(exact), rel=1e-9)
    assert value.value(1)[0] == 0.0
    assert value.value(0)[0] == 0.0


def test_knapsack_matches_the_papers_closed_form_of_the_gain():
    p = np.linspace(0.01, 0.99, 50)
    for n in (1, 2, 7, 127):
        expected = (p**n * (1 - p) + (1 - p) ** n * p) * p * (1 - p) ** 2
        np.testing.assert_allclose(KnapsackValue(p).gain(n), expected, rtol=1e-11)


def test_knapsack_weight_peaks_at_one_third():
    p = np.linspace(0.001, 0.999, 999)
    many = KnapsackValue(p).value(100_000)  # all groups are mixed: what is left is the weight
    assert p[np.argmax(many)] == pytest.approx(1 / 3, abs=1e-3)


def test_knapsack_is_worth_nothing_where_every_outcome_is_the_same():
    value = KnapsackValue(np.array([0.0, 1.0]))
    for n in (1, 2, 128):
        assert value.log_gain(n).tolist() == [-np.inf] * 2
        assert value.log_value(n).tolist() == [-np.inf] * 2


def test_knapsack_stays_finite_in_log_space_where_the_linear_value_underflows():
    value = KnapsackValue(np.array([1e-300, 0.5, 1 - 1e-16]))
    assert np.all(np.isfinite(value.log_gain(2000)))
    assert value.gain(2000)[1] == 0.0


# -- both ----------------------------------------------------------------------------------


@st.composite
def any_value(draw, rates=edges_or_inside, max_size=6):
    p = np.array(draw(st.lists(rates, min_size=1, max_size=max_size)))
    if draw(st.booleans()):
        return KnapsackValue(p)
    return CobaValue(p, alpha=draw(shapes), beta=draw(shapes), tau=draw(scales))


@laws
@given(any_value())
def test_gains_never_increase(value):
    n = np.arange(value.first, 200)
    gains = value.log_gain(n[:, None])  # (200, m)
    assert gains.shape == (n.size, value.pass_rate.size)
    assert not np.any(np.isnan(gains))
    assert np.all(gains[1:] <= gains[:-1])


def test_gains_strictly_decrease_for_ordinary_prompts():
    p = np.linspace(0.01, 0.99, 99)
    n = np.arange(1, 100)[:, None]
    for value in (CobaValue(p, alpha=3.0, beta=8.0, tau=8.0), KnapsackValue(p)):
        assert np.all(np.diff(value.log_gain(n), axis=0) < 0)


@laws
@given(any_value(), st.floats(-60, 5), st.integers(0, 5), st.integers(0, 130))
def test_first_below_is_the_first_n_whose_gain_is_not_above(value, log_gain, low, width):
    low += value.first
    high = low + width
    found = value.first_below(log_gain, low, high)
    table = value.log_gain(np.arange(low, high + 1)[:, None])
    for i, n in enumerate(found.tolist()):
        above = [bool(gain > log_gain) for gain in table[:-1, i]]
        assert n == low + (above.index(False) if False in above else width)


@laws
@given(
    any_value(rates=st.floats(0.001, 0.999)),
    st.floats(-60, 5),
    st.integers(1, 5),
    st.integers(1, 99),
)
def test_closed_form_and_default_agree_on_the_rollouts_at_a_gain(value, log_gain, low, width):
    high = low + width
    exact, rate = value.rollouts_at(log_gain, low, high)
    default, _ = ValueFunction.rollouts_at(value, log_gain, low, high)
    assert np.all(rate >= 0)
    assert np.all(np.abs(np.clip(np.ceil(exact), low, high) - np.ceil(default)) <= 1)
    within = (exact > low) & (exact < high)
    gains = value.log_gain(exact)
    np.testing.assert_allclose(gains[within], log_gain, atol=1e-7)


@given(any_value(), st.integers(1, 40), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_the_ways_to_ask_for_a_gain_return_the_same_float(value, low, width):
    scalar = value.scalar_log_gain(low, low + width)
    for n in range(low, low + width):
        prompts = np.arange(value.pass_rate.size)
        wanted = value.log_gain(n).tolist()
        assert [scalar(i, n) for i in range(len(wanted))] == wanted
        assert value.log_gain_of(prompts, np.full(prompts.size, n)).tolist() == wanted
        assert value.log_gain(np.full(prompts.size, float(n))).tolist() == wanted


@given(any_value(), st.data())
@settings(max_examples=60, deadline=None)
def test_take_is_the_value_of_a_part(value, data):
    m = value.pass_rate.size
    index = np.array(data.draw(st.lists(st.integers(0, m - 1), min_size=1, max_size=8)))
    n = value.first + 3
    assert value.take(index).log_gain(n).tolist() == value.log_gain(n)[index].tolist()
    assert value.take(index).pass_rate.tolist() == value.pass_rate[index].tolist()
    mask = np.arange(m) % 2 == 0
    assert value.take(mask).log_value(n).tolist() == value.log_value(n)[mask].tolist()


def test_leading_batch_dimensions():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=(3, 4, 5))
    p[0, 0, 0], p[2, 3, 4] = 0.0, 1.0
    alpha = rng.uniform(0.5, 9, size=(3, 1, 1))
    value = CobaValue(p, alpha=alpha, beta=11 - alpha, tau=8.0)
    knapsack = KnapsackValue(p)
    n = rng.integers(1, 20, size=p.shape)
    for index in np.ndindex(3, 4):
        row = CobaValue(p[index], alpha=float(alpha[index[0], 0, 0]),
                        beta=float(11 - alpha[index[0], 0, 0]), tau=8.0)  # fmt: skip
        for name in ("log_gain", "log_value"):
            np.testing.assert_allclose(
                getattr(value, name)(n)[index], getattr(row, name)(n[index]), rtol=1e-12
            )
            np.testing.assert_allclose(
                getattr(knapsack, name)(n)[index],
                getattr(KnapsackValue(p[index]), name)(n[index]),
                rtol=1e-12,
            )


@pytest.mark.parametrize("rates", [[0.1, 0.5, 0.9], [0.0, 0.5, 1.0]])
def test_shapes_broadcast_against_pass_rates(rates):
    alpha = np.array([[2.0], [9.0]])
    value = CobaValue(np.array(rates), alpha=alpha, beta=3.0, tau=8.0)
    gains = value.log_gain(2)
    assert gains.shape == (2, 3)
    for row, shape in zip(gains, alpha[:, 0], strict=True):
        single = CobaValue(np.array(rates), alpha=float(shape), beta=3.0, tau=8.0)
        np.testing.assert_allclose(row, single.log_gain(2), rtol=1e-12)


def test_subnormal_pass_rates_keep_the_floats_in_order():
    p = np.array([5e-324, 1e-320, 1e-310, 1e-308, 1e-300])
    for value in (CobaValue(p, alpha=0.5, beta=2.0, tau=8.0), KnapsackValue(p)):
        gains = value.log_gain(3)
        assert not np.any(np.isnan(gains))
        assert np.all(gains[1:] >= gains[:-1])  # rounding one down to worthless is fine
        assert np.all(np.isfinite(value.rollouts_at(-800.0, 2, 128)[1]))


def test_exact_reference_is_itself_right():
    assert knapsack_value(2, 0.5) == Fraction(1, 16)
    assert math.exp(coba_value(1, 0.5, 1.0, 1.0, 0.25)[0]) == pytest.approx(1 - math.exp(-1))
