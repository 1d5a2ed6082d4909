"""The n-th largest of many numbers is that of a sort, whatever a sample of them looks like."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.allocation.solving.selection import EVERY, FEW, nth_largest


@given(
    seed=st.integers(0, 10**6), size=st.integers(1, 4 * FEW), place=st.floats(0, 1),
    levels=st.sampled_from([1, 2, 30, 10**9]), order=st.sampled_from(["drawn", "up", "down"]),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_it_is_that_of_a_sort(seed, size, place, levels, order):
    values = np.random.default_rng(seed).integers(0, levels, size).astype(np.float32)
    if order != "drawn":
        values = np.sort(values)[:: 1 if order == "up" else -1].copy()
    count = 1 + int(place * (size - 1))
    before = values.copy()
    assert nth_largest(values, count) == np.sort(values)[-count]
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("sampled", [-1.0, 1.0])
def test_a_sample_unlike_the_rest_changes_nothing(sampled):
    values = np.random.default_rng(0).random(3 * FEW)
    values[::EVERY] += 2 * sampled
    for count in (1, FEW, values.size - FEW, values.size):
        assert nth_largest(values, count) == np.sort(values)[-count]
