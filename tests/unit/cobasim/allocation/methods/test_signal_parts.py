"""``signal-parts``: signal at the ratio that is measured, with its limits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.allocation import Limits, Observation, make_allocator
from cobasim.allocation.methods.signal import Signal, belief, moments
from cobasim.gradients import GradientParts


def parts(ratio, steps=1000, shared=0.1):
    return GradientParts(
        noise=5.0, logit_own=5.0 * ratio, logit_shared=shared, variance=0.2, steps=steps
    )


def observe(seed, size, measured):
    rng = np.random.default_rng(seed)
    a, b = 0.1 + rng.gamma(1, 4, size), 0.1 + rng.gamma(1, 4, size)
    return Observation(a / (a + b), a + b, posterior=(a, b), parts=measured)


@given(
    seed=st.integers(0, 10**6), size=st.integers(1, 30), mean=st.floats(2, 20),
    ratio=st.floats(0, 20), weighting=st.sampled_from(["rollout", "prompt"]),
    trust=st.sampled_from([0.0, 10.0]), steps=st.integers(1, 50),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_equals_signal_at_the_ratio_in_use(seed, size, mean, ratio, weighting, trust, steps):
    obs = observe(seed, size, parts(ratio, steps))
    limits = Limits(round(size * mean), 2, 64)
    allocator = make_allocator("signal-parts", weighting=weighting, trust=trust)
    used = (trust * 0.3 + steps * ratio) / (trust + steps)
    assert allocator.ratio_now(obs) == pytest.approx(used)
    budgets = allocator(obs, limits)
    assert budgets.sum() == limits.total
    assert budgets.min() >= 2
    assert budgets.max() <= 64
    np.testing.assert_array_equal(
        budgets, Signal(ratio=allocator.ratio_now(obs), weighting=weighting)(obs, limits)
    )


def test_without_measurement_it_is_signal_as_it_starts():
    for none in (None, parts(7.0, steps=0)):
        obs = observe(3, 12, none)
        limits = Limits(96, 2, 64)
        np.testing.assert_array_equal(
            make_allocator("signal-parts")(obs, limits), make_allocator("signal")(obs, limits)
        )


def test_the_shared_part_changes_nothing_and_no_noise_is_a_large_ratio():
    obs = observe(5, 16, parts(1.0))
    limits = Limits(128, 2, 64)
    allocator = make_allocator("signal-parts", trust=0.0)
    for shared in (0.0, 100.0):
        other = replace(obs, parts=parts(1.0, shared=shared))
        np.testing.assert_array_equal(allocator(other, limits), allocator(obs, limits))
    noiseless = replace(parts(1.0), noise=0.0)
    assert noiseless.ratio == np.inf
    assert allocator.ratio_now(replace(obs, parts=noiseless)) == 1e3


def known(ratio):
    """Prompts of known pass rates from 0.05 to 0.5, per rollout."""
    rates = np.repeat([0.05, 0.1, 0.2, 0.3, 0.4, 0.5], 4)
    a, b = 400 * rates, 400 * (1 - rates)
    return Observation(rates, a + b, posterior=(a, b), weighting="rollout", parts=parts(ratio))


def test_concentration_follows_the_ratio_to_its_limits():
    limits = Limits(24 * 16, 2, 128)
    allocator = make_allocator("signal-parts", trust=0.0)
    spread = [np.std(allocator(known(ratio), limits)) for ratio in (0.0, 0.02, 0.1, 0.5, 4.0)]
    assert spread[0] > spread[1] > spread[2] > spread[3]
    none = allocator(known(0.0), limits)
    assert none[:20].max() == 2
    assert none[20:].sum() == limits.total - 20 * 2  # all that can be, on the largest moves
    # where own parts are all that counts, moves times rollouts are made alike
    obs = known(100.0)
    budgets = allocator(obs, limits)
    assert budgets[:4].mean() > budgets[-4:].mean()
    update, _, _ = moments(128, "grpo")
    weights = belief(*obs.beta())
    tried = (np.arange(129.0) * update).T @ (weights / weights.sum(axis=0))  # by budget and prompt
    moves, even = tried[budgets, np.arange(24)], tried[16]

    def prompts(x):
        return x.sum() ** 2 / (x * x).sum()

    assert prompts(moves) > prompts(even) + 1
