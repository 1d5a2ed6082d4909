"""How unequal budgets are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.account import gini


@settings(max_examples=100)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_gini_is_half_the_relative_mean_difference(budgets):
    array = np.array(budgets)
    if array.sum() == 0:
        assert gini(np.bincount(array)) == 0.0
        return
    pairs = np.abs(array[:, None] - array[None, :]).mean()
    assert gini(np.bincount(array)) == pytest.approx(pairs / (2 * array.mean()), abs=1e-12)
