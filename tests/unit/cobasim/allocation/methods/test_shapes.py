"""The shape of the value function: the rules for alpha and beta, and CoBA's."""

import numpy as np
import pytest
from batches import observe
from hypothesis import given
from hypothesis import strategies as st

from cobasim.allocation import CobaValue, Limits, make_allocator, solve


@pytest.mark.parametrize(("rate", "alpha"), [(0.6957, 7.26), (0.455, 4.50), (0.342, 2.54)])
def test_coba_comes_to_the_alphas_of_figure_4(rate, alpha):
    ours = make_allocator("coba").shape(observe([0.1, 0.9], failure_rate=rate))
    assert ours[0] == pytest.approx(alpha, abs=0.005)
    assert sum(ours) == pytest.approx(11)
    mirrored = make_allocator("coba-explore-first").shape(observe([0.1, 0.9], failure_rate=rate))
    assert mirrored[0] == pytest.approx(11 - alpha, abs=0.005)  # mirrored at 5.5
    assert mirrored[1] == pytest.approx(alpha, abs=0.005)


@given(st.floats(0, 1), st.floats(2.1, 30))
def test_coba_exploits_at_high_failure_and_the_mirror_explores(rate, kappa):
    obs = observe([0.3, 0.6], failure_rate=rate)
    alpha, beta = make_allocator("coba", kappa=kappa).shape(obs)
    if kappa > 2:
        mirrored, mirrored_beta = make_allocator("coba-explore-first", kappa=kappa).shape(obs)
        assert mirrored == pytest.approx(1 + (kappa - 1) - alpha)
        assert mirrored + mirrored_beta == pytest.approx(kappa)
    assert 1.0 <= alpha <= kappa - 1.0 + 1e-12
    assert beta == pytest.approx(kappa - alpha)


def test_before_the_first_measurement_coba_uses_the_seen_part_of_the_batch():
    rates, tried = [0.1, 0.3, 0.9], [16, 16, 0]
    coba = make_allocator("coba")
    assert coba.shape(observe(rates, tried)) == coba.shape(observe(rates, failure_rate=0.8))


def test_alpha_can_be_held():
    for name in ("coba", "coba-explore-first", "coba-released"):
        held = make_allocator(name, alpha=3.0, kappa=9.0)
        assert held.shape(observe([0.2, 0.7], failure_rate=0.9)) == (3.0, 6.0)


def test_the_fixed_shapes_of_table_3():
    obs = observe([0.2, 0.7], failure_rate=0.9)
    assert make_allocator("fixed-exploit").shape(obs) == (10.5, 1.5)
    assert make_allocator("fixed-explore").shape(obs) == (1.5, 10.5)
    assert make_allocator("fixed", alpha=2.0, beta=0.5).shape(obs) == (2.0, 0.5)
    assert make_allocator("uniform").shape(obs) is None
    assert make_allocator("knapsack").shape(obs) is None


def test_linear_decay_steps_from_ten_to_one():
    decay = make_allocator("linear-decay")
    alphas = [
        decay.shape(observe([0.5], failure_rate=0.1, progress=step / 500))[0] for step in range(501)
    ]
    assert sorted(set(alphas), reverse=True) == pytest.approx(range(10, 0, -1))
    assert alphas == sorted(alphas, reverse=True)
    counts = [alphas.count(a) for a in dict.fromkeys(alphas)]
    assert counts == [50] * 9 + [51]
    assert make_allocator("linear-decay", steps=1).shape(observe([0.5]))[0] == 10.0


@given(st.floats(0.05, 1), st.integers(40, 200))
def test_allocators_with_a_shape_solve_equation_9(rate, total):
    p = np.array([0.05, 0.2, 0.21, 0.5, 0.77, 0.93, 0.0, 1.0])
    obs, limits = observe(p, failure_rate=rate, progress=0.42), Limits(total, 2, 40)
    for name in ("coba", "coba-explore-first", "fixed-exploit", "fixed-explore", "linear-decay"):
        allocator = make_allocator(name, tau=5.0)
        alpha, beta = allocator.shape(obs)
        value = CobaValue(p, alpha=alpha, beta=beta, tau=5.0)
        assert allocator(obs, limits).tolist() == solve(value, limits, "heap").tolist()


def test_preference_follows_capability():
    p = np.array([0.15, 0.85])
    weak = make_allocator("coba")(observe(p, failure_rate=0.9), Limits(60, 2, 58))
    strong = make_allocator("coba")(observe(p, failure_rate=0.1), Limits(60, 2, 58))
    assert weak[1] > weak[0]
    assert strong[0] > strong[1]
