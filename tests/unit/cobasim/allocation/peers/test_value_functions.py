"""Peers that allocate at once: the gains and budgets of their papers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from batches import observe
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from cobasim.allocation import PEERS, Limits, Observation, make_allocator, one_shot, solve
from cobasim.allocation.peers.cero import CeroValue
from cobasim.allocation.peers.hit_utility import HitValue
from cobasim.allocation.peers.neyman import NeymanValue
from cobasim.allocation.peers.vip import DrGrpoVariance, RlooVariance

laws = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize("name", [n for n in PEERS if n in one_shot() and n != "pods"])
@laws
@given(order=st.permutations(range(9)), total=st.integers(40, 150))
def test_permuting_prompts_permutes_budgets(name, order, total):
    obs, limits = observe((np.arange(9) + 1) / 10.3), Limits(total, 2, 60)
    moved = replace(obs, pass_rate=obs.pass_rate[order])
    allocator = make_allocator(name)
    assert allocator(moved, limits).tolist() == allocator(obs, limits)[order].tolist()


GRID = np.arange(3, 40)


@pytest.mark.parametrize(
    ("value", "variance"),
    [
        (RlooVariance, lambda n: 1 / (n - 1)),
        (DrGrpoVariance, lambda n: (n - 1) / n**2),
        (NeymanValue, lambda n: 1 / n),
    ],
)
def test_gains_are_what_a_rollout_takes_off_the_variance(value, variance):
    p = np.array([0.1, 0.5, 0.8])
    saved = (variance(GRID) - variance(GRID + 1))[:, None] * p * (1 - p)
    np.testing.assert_allclose(value(p).gain(GRID[:, None]), saved, rtol=1e-9)
    np.testing.assert_allclose(np.diff(value(p).value(GRID[:, None]), axis=0), saved[:-1])
    assert np.all(np.diff(value(p).log_gain(GRID[:, None]), axis=0) < 0)


@laws
@given(
    st.lists(st.integers(0, 16), min_size=1, max_size=12),
    st.sampled_from([1.0, 16.0, 1e6]),
    st.integers(3, 5),
    st.data(),
)
def test_the_solvers_agree_on_the_value_functions_of_peers(passes, evidence, low, data):
    p = np.array(passes) / 16
    high = low + data.draw(st.integers(0, 60))
    total = data.draw(st.integers(low * p.size, high * p.size))
    for value in (
        RlooVariance(p),
        DrGrpoVariance(p),
        NeymanValue(p),
        HitValue(1 + evidence * p, 1 + evidence * (1 - p)),
        CeroValue(0.25 - (p - 0.5) ** 2, 3.0 * np.array(passes), 0.25),
    ):
        limits = Limits(total, low, high)
        assert solve(value, limits).tolist() == solve(value, limits, "heap").tolist()


def test_vip_for_rloo_is_one_plus_the_root_of_a_over_lambda():
    p = np.array([0.5, 0.2, 0.05, 0.01])
    budgets = solve(RlooVariance(p), Limits(8000, 3, 8000))
    root = np.sqrt(p * (1 - p))
    np.testing.assert_allclose((budgets - 1) / (budgets - 1).sum(), root / root.sum(), atol=1e-3)


@pytest.mark.parametrize("name", ["vip-rloo", "vip-drgrpo"])
def test_vip_gives_nobody_less_than_three_where_it_can(name):
    rates = [0.5] * 3 + [0.0, 1.0, 0.999]
    assert make_allocator(name)(observe(rates), Limits(60, 1, 60)).min() == 3
    assert make_allocator(name)(observe(rates), Limits(12, 1, 60)).tolist() == [2] * 6


def test_neyman_is_proportional_to_the_deviation_and_duet_divides_by_the_root_of_length():
    p = np.array([0.5, 0.2, 0.02])
    limits = Limits(6000, 1, 6000)
    root = np.sqrt(p * (1 - p))
    np.testing.assert_allclose(
        make_allocator("neyman")(observe(p), limits) / 6000, root / root.sum(), atol=1e-3
    )
    assert (make_allocator("duet")(observe(p), limits)
            == make_allocator("neyman")(observe(p), limits)).all()  # fmt: skip
    shorter = root / np.sqrt(1 + 3 * (1 - p))
    np.testing.assert_allclose(
        make_allocator("duet", longer=3.0)(observe(p), limits) / 6000,
        shorter / shorter.sum(),
        atol=1e-3,
    )


def test_hit_utility_after_probes_is_the_ratio_of_beta_functions():
    probes, hits = 8, np.array([0, 1, 8])
    obs = Observation(hits / probes, np.full(3, float(probes)))
    gain = make_allocator("hit-utility").value(obs).gain(GRID[:, None])
    wanted = special.beta(2 + hits, 1 + probes - hits + GRID[:, None]) / special.beta(
        1 + hits, 1 + probes - hits
    )
    np.testing.assert_allclose(gain, wanted, rtol=1e-9)


def test_hit_utility_sends_its_budget_to_prompts_that_have_only_failed():
    obs = Observation(np.array([0.0, 0.5, 1.0]), np.full(3, 8.0))
    budgets = make_allocator("hit-utility")(obs, Limits(60, 2, 60))
    assert budgets[0] > 30 > budgets[1] > budgets[2]


@laws
@given(st.floats(0.2, 30), st.floats(0.2, 30), st.integers(1, 60))
def test_hit_value_is_the_chance_of_one_success_or_more(a, b, n):
    value = HitValue(np.array([a]), np.array([b]))
    none = math.exp(special.betaln(a, b + n) - special.betaln(a, b))
    assert value.value(n)[0] == pytest.approx(1 - none, rel=1e-9)
    gains = value.gain(np.arange(n)[:, None]).sum()
    assert gains == pytest.approx(1 - none, rel=1e-6)


def test_duet_gives_long_prompts_less_by_the_root_of_their_length():
    p, limits = np.full(4, 0.5), Limits(6000, 1, 5000)
    lengths = np.array([1.0, 4.0, 9.0, 16.0])
    found = make_allocator("duet")(observe(p, lengths=lengths), limits)
    wanted = 1 / np.sqrt(lengths)
    np.testing.assert_allclose(found / 6000, wanted / wanted.sum(), atol=2e-3)


@laws
@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), min_size=2, max_size=12),
    st.floats(0.3, 1e5),
    st.integers(0, 60),
)
def test_with_equal_lengths_duet_is_what_it_is_without(rates, length, more):
    limits = Limits(2 * len(rates) + more, 2, 128)
    lengths = np.full(len(rates), length)
    found = make_allocator("duet")(observe(rates, lengths=lengths), limits)
    np.testing.assert_array_equal(found, make_allocator("duet")(observe(rates), limits))
