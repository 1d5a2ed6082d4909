"""The order of prompts: distinct, by epochs or by a mix, a function of the step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobasim.loop import BatchOrder, MixStep


@given(st.integers(1, 40), st.integers(0, 5), st.data())
def test_batches_are_distinct_and_an_epoch_shows_each_prompt_at_most_once(size, seed, data):
    batch = data.draw(st.integers(1, size))
    order = BatchOrder(size, batch, seed)
    per_epoch = size // batch
    for epoch in range(3):
        shown = np.concatenate([order.batch(epoch * per_epoch + i) for i in range(per_epoch)])
        assert np.unique(shown).size == shown.size
        assert shown.min() >= 0
        assert shown.max() < size


def test_the_order_depends_on_the_step_alone():
    forward, direct = BatchOrder(50, 8, 1), BatchOrder(50, 8, 1)
    batches = [forward.batch(step) for step in range(30)]
    for step in reversed(range(30)):
        np.testing.assert_array_equal(direct.batch(step), batches[step])


def test_a_task_mix_draws_clusters_by_weight():
    clusters = np.repeat([0, 1, 2, 3], 250)
    mix = (MixStep(step=5, weights=(1, 0, 0, 0)), MixStep(step=10, weights=(1, 3, 0, 0)))
    order = BatchOrder(1000, 40, 0, mix=mix, clusters=clusters)
    assert len(set(clusters[order.batch(0)])) == 4
    assert set(clusters[order.batch(7)]) == {0}
    drawn = np.concatenate([clusters[order.batch(step)] for step in range(10, 200)])
    assert set(drawn) == {0, 1}
    assert (drawn == 1).mean() == pytest.approx(0.75, abs=0.03)
    assert np.unique(order.batch(11)).size == 40


def test_a_batch_larger_than_the_pool_is_refused():
    with pytest.raises(InputError, match="at least 32"):
        BatchOrder(20, 32, 0)
    mix = (MixStep(step=0, weights=(0, 1)),)
    with pytest.raises(InputError, match="leaves 10 prompts"):
        BatchOrder(100, 32, 0, mix=mix, clusters=np.repeat([0, 1], [90, 10])).batch(0)
