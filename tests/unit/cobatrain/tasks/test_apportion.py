"""Shares in whole numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cobatrain.tasks.apportion import apportion


@given(
    st.integers(0, 5000),
    st.lists(st.tuples(st.floats(0.01, 100), st.integers(0, 900)), min_size=1, max_size=8),
)
def test_apportion_sums_and_stays_within_capacity(total, parts):
    weights, capacity = zip(*parts, strict=True)
    free = apportion(total, weights)
    exact = total * np.asarray(weights) / sum(weights)
    assert free.sum() == total
    assert np.all(np.abs(free - exact) < 1 + 1e-6)
    bound = apportion(total, weights, capacity)
    assert bound.sum() == min(total, sum(capacity))
    assert np.all((bound >= 0) & (bound <= np.asarray(capacity)))
