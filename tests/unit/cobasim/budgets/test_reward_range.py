"""Passes from the spread of rewards: counts where rewards are 0 or 1, variances elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.budgets import RewardRange
from cobasim.errors import InputError


@given(
    groups=st.lists(st.lists(st.booleans(), min_size=1, max_size=30), min_size=1, max_size=8),
    low=st.floats(-5, 5), width=st.floats(0.1, 10),
)  # fmt: skip
def test_rewards_at_the_ends_of_the_range_are_counted(groups, low, width):
    sizes = np.array([len(group) for group in groups])
    rewards = np.concatenate([np.where(group, low + width, low) for group in groups])
    made, passes = RewardRange(low, low + width).passes(rewards, sizes)
    np.testing.assert_array_equal(made, sizes)
    np.testing.assert_array_equal(passes, [sum(group) for group in groups])


@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
@settings(max_examples=50)
def test_the_variance_is_kept_up_to_rounding_whatever_the_unit(seed, scale, shift):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 400, size=5)
    rewards = np.concatenate([rng.beta(*rng.uniform(0.2, 3, 2), size=n) for n in sizes])
    made, passes = RewardRange().passes(rewards, sizes)
    again = RewardRange(shift, shift + scale).passes(shift + scale * rewards, sizes)
    np.testing.assert_array_equal(made, again[0])
    assert np.abs(passes - again[1]).max() <= 1  # a half is rounded either way
    assert passes.min() >= 1
    assert (passes < made).all()
    groups = np.split(rewards, np.cumsum(sizes)[:-1])
    for n, passed, group in zip(made, passes, groups, strict=True):
        p = 0.5 + np.sign(group.mean() - 0.5) * np.sqrt(0.25 - group.var())
        assert abs(passed - np.clip(n * p, 1, n - 1)) <= 0.5 + 1e-6
        assert abs(p - 0.5) >= abs(group.mean() - 0.5) - 1e-12  # Bhatia and Davis


def test_equal_rewards_are_all_passes_or_none_and_missing_ones_do_not_count():
    rewards = [0.1 + 0.2, 0.3, 0.3, 0.9, 0.9, np.nan, np.nan, 0.2, 0.25]
    made, passes = RewardRange().passes(rewards, np.array([3, 3, 1, 2]))
    assert made.tolist() == [3, 2, 0, 2]
    assert passes.tolist() == [0, 2, 0, 1]


@pytest.mark.parametrize(("low", "high"), [(-0.1, 1.0), (0.0, 0.1), (0.0, 2.2), (100.1, 100.3)])
def test_rewards_of_32_bits_are_in_their_range_and_equal_where_they_were(low, high):
    ends = np.array([low, high, low, low], dtype=np.float32)
    made, passes = RewardRange(low, high).passes(ends.astype(float), np.array([2, 2]))
    assert (made.tolist(), passes.tolist()) == ([2, 2], [1, 0])
    weighed = np.array([0.7 * low + 0.3 * low, low], dtype=np.float32)  # equal but for rounding
    assert RewardRange(low, high).passes(weighed, np.array([2]))[1].tolist() == [0]


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2, 1), (0, np.inf), (np.nan, 1)])
def test_a_range_has_two_different_ends(bounds):
    with pytest.raises(InputError, match="low < high"):
        RewardRange(*bounds)


def test_rewards_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"1\.5, outside the stated range 0 to 1"):
        RewardRange().passes([0.5, 1.5], np.array([2]))
    with pytest.raises(InputError, match="expected 3 rewards"):
        RewardRange().passes([0.5, 1.0], np.array([3]))
