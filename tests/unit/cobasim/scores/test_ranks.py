"""Mean ranks, the false discovery rate, and Friedman's test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from cobasim import scores


@given(arrays(np.float64, (3, 5, 2), elements=st.sampled_from([0.1, 0.2, 0.3, 0.4])))
def test_ranks_average_to_the_middle_whatever_the_ties(values):
    ranks = scores.mean_ranks(values)
    assert ranks.shape == (3, 5)
    np.testing.assert_allclose(ranks.mean(axis=1), 3.0)
    np.testing.assert_allclose(scores.mean_ranks(-values), 6.0 - ranks)


@given(st.lists(st.floats(0, 1), max_size=40))
def test_correction_keeps_the_order_and_never_lowers(values):
    found = scores.false_discovery(values)
    assert (found >= np.array(values) - 1e-15).all()
    assert (found <= 1).all()
    assert (np.diff(found[np.argsort(values, kind="stable")]) >= -1e-15).all()
    assert (found <= np.array(scores.holm(values)) + 1e-12).all()


def test_friedman_and_the_critical_difference_agree_with_published_numbers():
    values = np.random.default_rng(0).random((14, 4))
    found = scores.friedman(values)
    ranks = scores.mean_ranks(values[:, :, None]).mean(axis=0)
    chi = 12 * 14 / (4 * 5) * (np.sum(ranks**2) - 4 * 25 / 4)
    assert found == pytest.approx((chi, stats.chi2.sf(chi, 3)))
    assert scores.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)  # Demsar 2006
    assert scores.friedman(np.ones((5, 3))) is None
    assert scores.friedman(values[:, :2]) is None
