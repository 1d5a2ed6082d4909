"""The parts from quarters of a step, on gradients whose parts are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_gradients import Truth, average, step

from cobasim.errors import InputError
from cobasim.gradients import GradientParts, RunningParts, split_quarters


@given(seed=st.integers(0, 10**6), size=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_quarters_are_even_halves_of_groups_with_signal(seed, size):
    rng = np.random.default_rng(seed)
    budgets = rng.integers(1, 11, size)
    group = np.repeat(np.arange(size), budgets)
    rewards = rng.integers(0, 2, group.size).astype(float)
    share = np.bincount(group, rewards) / budgets
    coefficient = (rewards - share[group]) / group.size
    quarters = split_quarters(rewards, group, coefficient, rng)
    mixed = (share > 0) & (share < 1)
    assert ((quarters.quarter >= 0) == mixed[group]).all()
    sides = []
    for number in np.flatnonzero(mixed):
        own = quarters.quarter[group == number]
        sides.append(int(own[0] // 2))
        assert np.ptp(own // 2) == 0  # one prompt is on one side
        outcomes = [
            np.bincount(own[rewards[group == number] == outcome] % 2, minlength=2)
            for outcome in (0.0, 1.0)
        ]
        odd = outcomes[0] - outcomes[1]
        if min(outcome.sum() for outcome in outcomes) < 2:
            assert np.ptp(own) == 0  # whole in one half
        else:
            assert max(np.ptp(outcome) for outcome in outcomes) <= 1
            assert np.ptp(odd) <= 2
    assert abs(sides.count(0) - sides.count(1)) <= 1
    up = np.bincount(group, coefficient * rewards, minlength=size)[mixed]
    np.testing.assert_allclose(quarters.mean.sum(axis=0), up)  # whatever the pass rates are
    assert (quarters.mean >= -1e-12).all()


def test_a_half_s_mean_is_what_its_outcomes_say():
    """One group of 3 passes of 8, by hand: halves of (1, 2) and (2, 3) passes and failures."""
    rewards = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    up, down = np.sqrt(5 / 3), np.sqrt(3 / 5)
    quarters = split_quarters(
        rewards, np.zeros(8, int), np.where(rewards == 1, up, -down), np.random.default_rng(0)
    )
    p = 3 / 8
    expected = sorted([up * (1 - p) + 2 * down * p, 2 * up * (1 - p) + 3 * down * p])
    assert sorted(quarters.mean[:, 0]) == pytest.approx(expected)
    assert quarters.noise == pytest.approx(8)
    assert quarters.variance == pytest.approx(p * (1 - p))


@pytest.mark.parametrize("weighting", ["rollout", "prompt"])
@pytest.mark.parametrize("kind", ["grpo", "rloo"])
@pytest.mark.parametrize(
    "budgets",
    [np.full(16, 8), np.array([2, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 12, 16, 16, 24, 2])],
    ids=["equal", "unequal"],
)
def test_the_parts_come_out_on_average(weighting, kind, budgets):
    truth = Truth(own=3.0, shared=0.5, noise=20.0)
    found = average(truth, budgets, weighting, kind, steps=600, seed=1)
    assert found.logit_shared == pytest.approx(truth.shared, rel=0.2)
    assert found.logit_own == pytest.approx(truth.own, rel=0.15)
    assert found.noise == pytest.approx(truth.noise, rel=0.04)


def test_own_alone_and_noise_alone():
    budgets = np.full(16, 8)
    only_noise = average(Truth(own=0.0, shared=0.0, noise=9.0), budgets, "rollout", "grpo", 400, 2)
    assert only_noise.noise == pytest.approx(9.0, rel=0.05)
    assert only_noise.logit_own < 0.4
    only_own = average(Truth(own=4.0, shared=0.0, noise=0.0), budgets, "prompt", "grpo", 400, 3)
    assert only_own.logit_own == pytest.approx(4.0, rel=0.1)
    assert only_own.noise < 0.1


def test_units_of_advantages_are_those_of_the_measured_parts():
    """within and own as ``parts`` defines them, of prompts of one pass rate."""
    p, truth = 0.3, Truth(own=3.0, shared=1.0, noise=6.0)
    found = average(truth, np.full(16, 8), "rollout", "grpo", 800, 4, rates=(p, p))
    q = 1 - p
    phi2 = truth.own + truth.shared
    # E |A s - mu|^2 with A = (r - p) / sqrt(p q): the noise, and outcomes around their mean
    outcome = p * (q / p) * q * q * phi2 + q * (p / q) * p * p * phi2 - p * q * phi2
    assert found.within == pytest.approx(truth.noise + outcome, rel=0.1)
    assert found.own == pytest.approx(p * q * truth.own, rel=0.15)
    assert found.shared == pytest.approx(p * q * truth.shared, rel=0.15)


def test_steps_without_signal_say_nothing_and_change_nothing():
    rng = np.random.default_rng(0)
    running = RunningParts()
    assert running.parts() is None
    rewards, group = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 1, 1])
    quarters = split_quarters(rewards, group, np.zeros(4), rng)
    assert (quarters.quarter == -1).all()
    running.add(quarters.equations(np.zeros((4, 4))))
    assert running.parts() is None
    truth = Truth(own=1.0, shared=1.0, noise=1.0)
    running.add(step(truth, np.full(8, 8), "rollout", "grpo", rng))
    before = running.parts()
    running.add(quarters.equations(np.zeros((4, 4))))
    assert running.parts() == before
    assert before is not None
    assert before.steps == 1


def test_an_average_follows_a_change_and_resumes():
    rng = np.random.default_rng(5)
    running = RunningParts(span=10.0)
    early, late = Truth(0.0, 1.0, 10.0), Truth(8.0, 0.1, 10.0)
    for truth in (early, late):
        for _ in range(60):
            running.add(step(truth, np.full(32, 8), "rollout", "grpo", rng))
        parts = running.parts()
        assert parts is not None
        assert parts.ratio == pytest.approx(truth.own / truth.noise, abs=0.15)
    again = RunningParts(span=10.0)
    again.load_state_dict(running.state_dict())
    last = step(late, np.full(32, 8), "rollout", "grpo", rng)
    running.add(last)
    again.add(last)
    assert running.parts() == again.parts()
    with pytest.raises(InputError, match="another version"):
        again.load_state_dict({"sums": np.zeros(3), "steps": 1})


def test_nothing_is_negative_and_the_limits_are_named():
    running = RunningParts()
    rng = np.random.default_rng(1)
    rewards, group = np.tile([1.0, 0.0], 8), np.repeat(np.arange(4), 4)
    quarters = split_quarters(rewards, group, np.where(rewards == 1, 1.0, -1.0), rng)
    running.add(quarters.equations(-np.ones((4, 4)) + 2 * np.eye(4)))
    parts = running.parts()
    assert parts is not None
    assert (parts.logit_own, parts.logit_shared, parts.ratio) == (0.0, 0.0, 0.0)
    assert parts.numbers()["own_over_within"] == 0.0
    running.add(quarters.equations(1e3 * np.ones((4, 4))))


def test_other_rewards_are_refused():
    with pytest.raises(InputError, match=r"rewards of 0 and 1, got 0\.5"):
        split_quarters(np.array([0.5, 1.0]), np.zeros(2, int), np.ones(2), np.random.default_rng())


@given(
    noise=st.floats(0.1, 50), own=st.floats(0, 50), shared=st.floats(0, 5),
    variance=st.floats(0.02, 0.25),
)  # fmt: skip
def test_both_units_say_the_same(noise, own, shared, variance):
    parts = GradientParts(noise, own, shared, variance, 3)
    again = GradientParts.from_advantages(parts.within, parts.own, parts.shared, variance, 3)
    assert again.noise == pytest.approx(noise, rel=1e-6)
    assert again.logit_own == pytest.approx(own)
    assert parts.ratio >= 4 * parts.own / parts.within - 1e-9
