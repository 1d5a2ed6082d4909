"""Other signals of capability than the failure rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobasim.allocation import Observation, make_allocator

SIGNALS = ("coba-variance", "coba-mixed", "coba-update")


@given(
    rates=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    name=st.sampled_from(SIGNALS),
)
def test_a_signal_is_a_share_and_reading_it_the_other_way_turns_alpha_round(rates, name):
    p = np.array(rates)
    signal = make_allocator(name).signal(p)
    assert -1e-12 <= signal <= 1 + 1e-12
    obs = Observation(p, np.ones_like(p), failure_rate=0.4)
    for sense, rate in (("success", 1.0 - signal), ("failure", signal)):
        told = Observation(p, np.ones_like(p), failure_rate=rate)
        assert make_allocator(name, read_as=sense).shape(obs) == make_allocator("coba").shape(told)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_is_largest_at_one_half_and_zero_at_the_ends(name):
    allocator = make_allocator(name)
    assert allocator.signal(np.array([0.0, 1.0])) == 0.0
    assert allocator.signal(np.array([0.5])) == pytest.approx(1.0, abs=1e-4)
