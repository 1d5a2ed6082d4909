"""Rows dealt again by budgets, and rewards counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobatrain.integrations.groups import count_passes, deal_rows, group_sizes

sizes = st.integers(1, 6)
batches = st.lists(st.tuples(sizes, sizes), min_size=1, max_size=8)


def rows(counts):
    return [i for i, count in enumerate(counts) for _ in range(count)]


@given(batches)
def test_every_prompt_gets_its_budget_of_its_own_rows(batch):
    before, budgets = np.array(batch).T
    keys = [f"prompt {i}" for i in rows(before)]
    columns = {"key": keys, "extra": [{"key": key} for key in keys], "params": {"n": 1}}
    known, counts = group_sizes(keys)
    assert known == [f"prompt {i}" for i in range(before.size)]
    np.testing.assert_array_equal(counts, before)
    dealt = deal_rows(columns, counts, budgets)
    assert dealt["key"] == [f"prompt {i}" for i in rows(budgets)]
    assert [extra["key"] for extra in dealt["extra"]] == dealt["key"]
    assert len({id(extra) for extra in dealt["extra"]}) == budgets.sum()  # none is shared
    assert dealt["params"] is columns["params"]
    np.testing.assert_array_equal(group_sizes(dealt["key"])[1], budgets)


@given(st.lists(sizes, min_size=1, max_size=8))
def test_equal_budgets_change_nothing(before):
    columns = {"extra": [object() for _ in rows(before)], "none": None}
    dealt = deal_rows(columns, np.array(before), np.array(before))
    assert dealt == columns  # the very same objects


@given(batches, st.integers(0, 2**32 - 1))
def test_passes_are_counted_by_group(batch, seed):
    budgets = np.array(batch)[:, 1]
    rewards = np.random.default_rng(seed).choice([0.0, 0.25, 0.5, 1.0], budgets.sum())
    parts = np.split(rewards, np.cumsum(budgets)[:-1])
    expected = [sum(reward >= 0.5 for reward in part) for part in parts]
    assert count_passes(rewards, 0.5, budgets).tolist() == expected


def test_what_cannot_be_is_said():
    with pytest.raises(InputError, match=r"'a' comes again in row 2 .* lie together"):
        group_sizes(["a", "b", "a"])
    with pytest.raises(InputError, match="'x' has 2 entries, the batch 3 rows"):
        deal_rows({"x": [1, 2]}, np.array([3]), np.array([3]))
    with pytest.raises(InputError, match=r"rollout 1 .* is NaN"):
        count_passes([0.0, float("nan")], 0.5, np.array([2]))
    with pytest.raises(InputError, match=r"shape \(2,\) for 3 rollouts"):
        count_passes([0.0, 1.0], 0.5, np.array([1, 2]))
