"""Intervals, paired tests and corrections, against scipy and by hand."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from cobasim.errors import InputError
from cobasim.scores import holm, mean_interval, paired_p_value, share_interval

values = st.lists(st.floats(-10, 10), min_size=2, max_size=20)


@given(values)
def test_the_interval_is_students(data):
    assume(np.std(data) > 1e-6)
    got = mean_interval(data)
    expected = stats.ttest_1samp(data, 0).confidence_interval(0.95)
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high))


@given(
    st.lists(st.one_of(st.sampled_from([0, 1000]), st.integers(0, 1000)), min_size=2, max_size=20)
)
def test_the_interval_of_shares_stays_in_its_bounds_and_mirrors(data):
    data = np.array(data) / 1000
    got, other = share_interval(data), share_interval(1 - data)
    assert 0 <= got.low <= got.mean <= got.high <= 1
    assert (other.low, other.high) == pytest.approx((1 - got.high, 1 - got.low), abs=1e-6)
    assert (got.high > got.low) == (data.min() < data.max() or data[0] in (0, 1))


def test_the_interval_of_shares_covers_and_is_students_far_from_the_bounds():
    """Of 0 and 1: Wilson's by scipy but for the quantile; the chance that it holds the truth."""
    n = 30
    for passes in range(n + 1):
        got = share_interval(np.r_[np.ones(passes), np.zeros(n - passes)])
        z = stats.t.ppf(0.975, n - 1)
        for bound in (got.low, got.high):  # (p - bound)^2 = z^2 bound (1 - bound) / (n - 1)
            spread = z * math.sqrt(bound * (1 - bound) / (n - 1))
            assert abs(passes / n - bound) == pytest.approx(spread, abs=1e-9)
    truth = np.linspace(0.005, 0.5, 100)
    chance = np.zeros(100)
    for passes in range(n + 1):
        got = share_interval(np.r_[np.ones(passes), np.zeros(n - passes)])
        holds = (got.low <= truth) & (truth <= got.high)
        chance += stats.binom.pmf(passes, n, truth) * holds
    assert chance.mean() > 0.95
    assert chance.min() > 0.86  # Student's: 0.14
    far = 0.5 + 0.1 * np.sin(np.arange(200))
    students, ours = mean_interval(far), share_interval(far)
    assert (ours.low, ours.high) == pytest.approx((students.low, students.high), abs=1e-4)
    with pytest.raises(InputError, match="expected shares"):
        share_interval([0.5, 1.1])


@given(values, values)
def test_paired_tests_agree_with_scipy_and_with_their_interval(a, b):
    n = min(len(a), len(b))
    a, b = np.array(a[:n]), np.array(b[:n])
    assume(np.std(a - b) > 1e-6)
    p = paired_p_value(a, b)
    assert p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    interval = paired_difference(a, b)
    if abs(p - 0.05) > 1e-9:
        assert (p < 0.05) == (interval.low > 0 or interval.high < 0)


def paired_difference(a, b):
    return mean_interval(np.subtract(a, b))


def test_one_value_has_no_interval_and_none_is_an_error():
    assert asdict(mean_interval([0.5])) == {"mean": 0.5, "low": None, "high": None, "n": 1}
    for bad in ([], [math.nan], [[1.0]]):
        with pytest.raises(ValueError, match="finite"):
            mean_interval(bad)
    assert paired_p_value([1.0], [0.0]) is None
    assert (paired_p_value([1, 1], [1, 1]), paired_p_value([2, 2], [1, 1])) == (1, 0)


@given(st.lists(st.floats(0, 1), max_size=10))
def test_holm_is_between_the_raw_and_bonferroni_and_keeps_order(p_values):
    adjusted = holm(p_values)
    n = len(p_values)
    for raw, value in zip(p_values, adjusted, strict=True):
        assert raw <= value <= min(1, n * raw) or value == pytest.approx(min(1, n * raw))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
