"""Real budgets: an upper bound of what whole ones are worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.allocation import CobaValue, KnapsackValue, Limits, solve
from cobasim.allocation.solving.relaxation import LOG_SLOPES, relaxed_budgets, rounded_budgets
from cobasim.allocation.solving.values import ValueFunction
from cobasim.errors import InputError


def functions(p) -> list[ValueFunction]:
    return [KnapsackValue(p), CobaValue(p, alpha=6.0, beta=5.0, tau=8.0)]


@settings(deadline=None, max_examples=30)
@given(
    rates=st.lists(st.sampled_from([0.0, 1e-6, 0.05, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1),
                   min_size=1, max_size=12),
    low=st.integers(1, 4), room=st.integers(0, 30), share=st.floats(0, 1),
)  # fmt: skip
def test_whole_budgets_are_worth_at_most_what_real_ones_are(rates, low, room, share):
    p = np.array(rates)
    high = low + room
    limits = Limits(p.size * low + round(share * p.size * room), low, high)
    for value in functions(p):
        real = relaxed_budgets(value, limits)
        assert real.sum() == pytest.approx(limits.total, abs=1e-6)
        assert real.min() >= low - 1e-9
        assert real.max() <= high + 1e-9
        rounded = rounded_budgets(real, limits)
        assert rounded.sum() == limits.total
        assert low <= rounded.min() <= rounded.max() <= high
        top = value.value(real).sum()
        best = value.value(solve(value, limits)).sum()
        slack = 1e-9 * max(top, 1e-30)
        assert best <= top + slack
        assert value.value(rounded).sum() <= best + slack


def test_the_relaxation_meets_its_dual_bound():
    """Weak duality: sum_i max_n (V_i(n) - L n) + L total is above every feasible value."""
    p = np.random.default_rng(0).beta(0.35, 0.8, 64)
    limits = Limits(16 * 64, 2, 128)
    fine = np.linspace(2, 128, 40_001)[:, None]
    for value in functions(p):
        real = relaxed_budgets(value, limits)
        slopes = np.exp(LOG_SLOPES[type(value)](value, real))
        inside = (real > 2 + 1e-6) & (real < 128 - 1e-6)
        multiplier = slopes[inside].mean()
        assert slopes[inside] == pytest.approx(multiplier, rel=1e-6)
        bound = (value.value(fine) - multiplier * fine).max(axis=0).sum()
        bound += multiplier * limits.total
        assert value.value(real).sum() == pytest.approx(bound, rel=1e-6)


def test_a_value_function_without_a_slope_is_refused():
    class Other(KnapsackValue):
        pass

    with pytest.raises(InputError, match="no slope is known for Other; known: CobaValue"):
        relaxed_budgets(Other(np.array([0.5])), Limits(4, 2, 8))
    with pytest.raises(InputError, match="low must be at least 1"):
        relaxed_budgets(KnapsackValue(np.array([0.5])), Limits(4, 0, 8))
