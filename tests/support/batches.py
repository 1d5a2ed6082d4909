"""Observations of a batch, and what budgets of it must be."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from reference import pass_rates

from cobasim.allocation import Limits, Observation


def observe(rates, attempts=None, **known) -> Observation:
    """An observation of prompts of these pass rates, 16 attempts behind each."""
    p = np.asarray(rates, dtype=np.float64)
    tried = np.full(p.shape, 16.0) if attempts is None else np.asarray(attempts, dtype=np.float64)
    return Observation(p, tried, **known)


@st.composite
def observations(draw, max_prompts=12):
    p = draw(st.lists(pass_rates, min_size=1, max_size=max_prompts))
    tried = draw(
        st.lists(st.sampled_from([0, 0.3, 2, 16]), min_size=len(p), max_size=len(p))
        | st.just([0] * len(p))
        | st.just([8] * len(p))
    )
    failure_rate = draw(st.none() | st.floats(0, 1))
    return observe(p, tried, failure_rate=failure_rate, progress=draw(st.floats(0, 1)))


def check_feasible(budgets: np.ndarray, limits: Limits, size: int) -> None:
    """Whole budgets, one for each of ``size`` prompts, within the bounds, that sum to the total."""
    assert isinstance(budgets, np.ndarray)
    assert budgets.dtype == np.int64
    assert budgets.shape == (size,)
    assert int(budgets.sum()) == limits.total
    assert budgets.min() >= limits.low
    assert budgets.max() <= limits.high
