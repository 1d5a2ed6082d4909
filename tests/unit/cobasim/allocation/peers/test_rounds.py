"""Peers that spend in rounds: their rounds add up, and are those of their papers."""

from __future__ import annotations

import numpy as np
import pytest
from batches import observe
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.allocation import (
    PEERS,
    Allocator,
    Limits,
    Observation,
    allocate,
    make_allocator,
    one_shot,
)
from cobasim.allocation.peers.reinforce_ada import balanced_part
from cobasim.errors import InputError

laws = settings(max_examples=60, deadline=None)
IN_ROUNDS = [name for name, kind in PEERS.items() if "rounds" in kind.needs]
EXACT_ROUNDS = [name for name in IN_ROUNDS if PEERS[name].exact]


def drive(allocator: Allocator, obs: Observation, limits: Limits, rates, seed=0):
    """Budgets of every round, and all passes, when prompts have these true rates."""
    rng = np.random.default_rng(seed)
    plan = allocator.rounds(obs, limits)
    rounds, passes = [], np.zeros(len(rates), dtype=np.int64)
    asked = next(plan)
    while True:
        rounds.append(asked)
        got = rng.binomial(asked, rates)
        passes += got
        try:
            asked = plan.send(got)
        except StopIteration:
            return rounds, passes


@pytest.mark.parametrize("name", EXACT_ROUNDS)
@laws
@given(data=st.data())
def test_rounds_add_up_within_bounds(name, data):
    size, low = data.draw(st.integers(1, 12)), data.draw(st.integers(0, 4))
    high = max(low, 1) + data.draw(st.integers(0, 40))
    total = data.draw(st.integers(max(size * low, 1), size * high))
    rates = data.draw(
        st.lists(st.sampled_from([0, 0.1, 0.5, 0.9, 1]), min_size=size, max_size=size)
    )
    obs = observe(rates, rng=np.random.default_rng(3))
    rounds, _ = drive(make_allocator(name), obs, Limits(total, low, high), rates)
    budgets = sum(rounds)
    assert all((asked >= 0).all() for asked in rounds)
    assert budgets.sum() == total
    assert low <= budgets.min() <= budgets.max() <= high


@pytest.mark.parametrize("name", IN_ROUNDS)
def test_without_outcomes_there_are_no_budgets(name):
    with pytest.raises(InputError, match="spends in rounds"):
        allocate([0.1, 0.5, 0.7], 30, allocator=name)
    assert name not in one_shot()


def test_gvm_counts_its_pilot_and_gives_nothing_more_to_what_never_passed():
    rates = np.array([0.0, 1.0, 0.3, 0.3])
    rounds, _ = drive(make_allocator("gvm"), observe(rates), Limits(64, 2, 60), rates)
    assert [asked.sum() for asked in rounds] == [32, 32]
    assert rounds[0].tolist() == [8] * 4
    assert rounds[1][:2].tolist() == [0, 0]


def test_gvm_takes_the_learner_s_gradient_norms_when_told_to():
    rates, norms = np.full(2, 0.5), np.array([1.0, 3.0])
    measured, limits = make_allocator("gvm", gradients="learner"), Limits(2016, 2, 2000)
    plan = measured.rounds(observe(rates, gradient_norms=norms), limits)
    next(plan)
    rest = plan.send(np.array([4, 4]))
    assert rest[1] / rest[0] == pytest.approx(3, rel=0.01)
    with pytest.raises(InputError, match="gradients=bernoulli"):
        drive(measured, observe(rates), limits, rates)


def test_gvm_weights_are_the_papers():
    p = np.array([0.0, 1e-3, 0.25, 1.0])
    found = make_allocator("gvm").weights(p)
    wanted = (1 - p[1:]) / np.sqrt(p[1:] + 1e-3 / p[1:])
    assert found[0] == 0
    np.testing.assert_allclose(found[1:], wanted)


def test_vigor_halves_and_doubles():
    rates = np.array([0.5] * 2 + [0.0, 1.0] * 7)
    obs = observe(rates, rng=np.random.default_rng(0))
    rounds, _ = drive(make_allocator("vigor"), obs, Limits(16 * 8, 2, 128), rates, seed=1)
    assert [int(asked.max()) for asked in rounds] == [2, 4, 8, 16]
    assert [int((asked > 0).sum()) for asked in rounds] == [16, 8, 4, 2]


@pytest.mark.parametrize("name", ["reinforce-ada", "reinforce-ada-balanced"])
def test_reinforce_ada_stops_where_it_has_its_signal(name):
    rates = np.array([0.0, 1.0, 0.5, 0.5, 0.05])
    allocator = make_allocator(name)
    rounds, passes = drive(allocator, observe(rates), Limits(80, 2, 128), rates, seed=2)
    budgets = sum(rounds)
    assert len(rounds) == 4
    assert set(budgets) <= {8, 16, 24, 32}
    assert budgets[0] == 32
    assert budgets[1] == (8 if name == "reinforce-ada" else 32)
    kept = allocator.keep(observe(rates), budgets, passes)
    assert kept.budgets.tolist() == [4] * 5
    assert kept.passes[[0, 1]].tolist() == [0, 4]
    enough = (passes >= 2) & (budgets - passes >= 2)
    assert (kept.passes[enough] == 2).all()
    np.testing.assert_allclose(kept.baseline, passes / budgets)


@laws
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_the_balanced_part_has_the_largest_variance(passes, failures, wanted):
    size = min(wanted, passes + failures)
    found = balanced_part(np.array([passes + failures]), np.array([passes]), np.array([size]))[0]
    possible = [k for k in range(size + 1) if k <= passes and size - k <= failures]
    assert found in possible
    assert found * (size - found) == max(k * (size - k) for k in possible)
