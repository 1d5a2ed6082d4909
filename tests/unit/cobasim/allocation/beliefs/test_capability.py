"""Capability: the transformed failure rate, alpha and beta, and the window."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobasim.allocation import (
    CapabilityWindow,
    beta_shape,
    measured_failure_rate,
    transformed_failure_rate,
)
from cobasim.errors import InputError

rates = st.floats(0, 1)


def psi(rate, gamma):
    return rate if rate > 0.5 else 1 / (1 + math.exp(-gamma * (rate - 0.5)))


@given(rates, st.floats(0.1, 100))
def test_psi_is_equation_6(rate, gamma):
    assert transformed_failure_rate(rate, gamma=gamma) == pytest.approx(psi(rate, gamma))
    assert 0 <= transformed_failure_rate(rate, gamma=gamma) <= 1


@pytest.mark.parametrize("gamma", [0.5, 10.0, 1000.0])
def test_psi_is_continuous_at_one_half(gamma):
    assert transformed_failure_rate(0.5, gamma=gamma) == 0.5
    above, below = math.nextafter(0.5, 1), math.nextafter(0.5, 0)
    assert transformed_failure_rate(above, gamma=gamma) == pytest.approx(0.5, abs=1e-12)
    assert transformed_failure_rate(below, gamma=gamma) == pytest.approx(0.5, abs=1e-12)


@given(rates, rates)
def test_psi_and_alpha_rise_with_the_failure_rate(a, b):
    a, b = sorted((a, b))
    assert transformed_failure_rate(a) <= transformed_failure_rate(b)
    assert beta_shape(a)[0] <= beta_shape(b)[0]


@pytest.mark.parametrize(("rate", "alpha"), [(0.6957, 7.26), (0.455, 4.50), (0.342, 2.54)])
def test_the_alphas_of_figure_4(rate, alpha):
    assert beta_shape(rate, kappa=11.0)[0] == pytest.approx(alpha, abs=0.005)
    assert sum(beta_shape(rate, kappa=11.0)) == pytest.approx(11.0)


@given(rates, st.floats(2.01, 30))
def test_alpha_runs_inside_its_range_and_the_sum_is_kappa(rate, kappa):
    alpha, beta = beta_shape(rate, kappa=kappa)
    assert 1.0 <= alpha <= max(kappa - 1.0, 1.0)
    assert alpha + beta == pytest.approx(kappa)
    assert beta > 0
    assert alpha == pytest.approx(1.0 + (kappa - 2.0) * psi(rate, 10.0))


def test_alpha_at_the_ends():
    assert beta_shape(1.0) == (10.0, 1.0)
    assert beta_shape(0.0)[0] == pytest.approx(1 + 9 / (1 + math.exp(5)))
    assert beta_shape(1.0, alpha_max=6.0) == (6.0, 5.0)
    assert beta_shape(0.0, alpha_min=4.0, slope=0.0) == (4.0, 7.0)
    assert beta_shape(1.0, slope=100.0) == (10.0, 1.0)


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1)), min_size=1, max_size=30))
def test_the_failure_rate_is_a_mean_over_prompts_not_over_rollouts(visits):
    budgets = np.array([n for n, _ in visits])
    passes = np.array([round(n * share) for n, share in visits])
    tried = [(k, n) for k, n in zip(passes.tolist(), budgets.tolist(), strict=True) if n > 0]
    measured = measured_failure_rate(passes, budgets)
    if not tried:
        assert measured is None
    else:
        assert measured == pytest.approx(1 - sum(k / n for k, n in tried) / len(tried), abs=1e-12)
        assert -1e-12 <= measured <= 1


@given(st.lists(rates, max_size=20), st.integers(1, 6))
def test_the_window_is_the_mean_of_the_last_k(history, k):
    window = CapabilityWindow(k)
    for i, rate in enumerate(history):
        window.append(rate)
        recent = history[max(0, i + 1 - k) : i + 1]
        assert window.mean == pytest.approx(sum(recent) / len(recent))
    if not history:
        assert window.mean is None


@given(st.lists(rates, max_size=10), st.lists(rates, min_size=1, max_size=5), st.integers(1, 5))
def test_a_resumed_window_goes_on_as_if_nothing_had_happened(before, after, k):
    straight, first, resumed = CapabilityWindow(k), CapabilityWindow(k), CapabilityWindow(k)
    for rate in before:
        straight.append(rate)
        first.append(rate)
    resumed.append(0.123)  # is forgotten
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert resumed.mean == straight.mean
    for rate in after:
        straight.append(rate)
        resumed.append(rate)
        assert resumed.mean == straight.mean


@pytest.mark.parametrize("steps", [0, -1])
def test_a_window_of_no_steps(steps):
    with pytest.raises(InputError, match="at least 1"):
        CapabilityWindow(steps)
