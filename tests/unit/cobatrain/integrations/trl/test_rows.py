"""Rows with their numbers; the order of prompts by epoch; which dataset it is."""

from __future__ import annotations

import pytest

pytest.importorskip("trl", reason="TRL is not installed")

from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from cobatrain.integrations.trl.compatibility import RepeatSampler
from cobatrain.integrations.trl.rows import EpochSampler, Numbered, fingerprint

SHAPE = st.tuples(
    st.integers(4, 20), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.booleans(),
    st.integers(0, 9),
)  # fmt: skip


@given(SHAPE, st.lists(st.integers(0, 5), max_size=4))
def test_every_epoch_has_the_order_of_an_unbroken_stock_run(shape, visits):
    size, *others = shape
    stock = RepeatSampler(range(size), *others)
    orders = [list(stock) for _ in range(6)]
    unbroken = EpochSampler(range(size), *others)
    assert [list(unbroken) for _ in range(6)] == orders
    resumed = EpochSampler(range(size), *others)
    for epoch in visits:
        resumed.set_epoch(epoch)
        assert list(resumed) == orders[epoch]
        if epoch < 5:
            assert list(resumed) == orders[epoch + 1]


def test_rows_come_with_their_numbers_and_each_time_anew():
    rows = Numbered(Dataset.from_dict({"prompt": [["a"], ["b"], ["c"]]}))
    assert len(rows) == 3
    assert rows[2] == (2, {"prompt": ["c"]})
    one, other = rows.__getitems__([1, 1])
    assert one == other == (1, {"prompt": ["b"]})
    one[1]["prompt"].append("changed")
    assert other == (1, {"prompt": ["b"]})


def test_a_fingerprint_tells_datasets_apart_and_sees_through_transforms():
    made = Dataset.from_dict({"prompt": [f"{i}" for i in range(300)], "answer": [0] * 300})
    own = fingerprint(made)
    assert own == fingerprint(made.with_transform(lambda batch: {"prompt": [""]}))
    assert own == fingerprint(made.remove_columns("answer"))
    others = [made.select(range(299)), made.shuffle(seed=1), made.select([1, 0, *range(2, 300)])]
    assert len({own, *map(fingerprint, others)}) == 4
