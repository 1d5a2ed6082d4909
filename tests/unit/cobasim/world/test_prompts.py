"""Where prompts start: at their first pass rates, and the hard set below."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from small_worlds import build

from cobasim.world import WORLDS, draw_pass_rates
from cobasim.world.prompts import RATE_FLOOR


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("transfer", [0.0, 0.4, 1.0])
def test_prompts_start_exactly_at_their_first_pass_rates(world, transfer):
    rates = np.random.default_rng(1).random(300)
    policy = build(world, rates=rates, transfer=transfer)
    np.testing.assert_allclose(policy.pass_rates(np.arange(300)), rates, rtol=1e-9)


@pytest.mark.parametrize("world", WORLDS)
def test_measured_zero_and_one_start_just_inside(world):
    policy = build(world, rates=np.array([0.0, 0.25, 1.0]), num_heldout=50)
    np.testing.assert_allclose(
        policy.pass_rates(np.arange(3)), [RATE_FLOOR, 0.25, 1 - RATE_FLOOR], rtol=1e-9
    )


def test_default_population_is_like_a_7b_model_on_mathematics():
    rates = draw_pass_rates(np.random.default_rng(0), 200_000, "math")
    assert rates.mean() == pytest.approx(0.30, abs=0.01)
    assert (rates < 0.05).mean() > 0.2  # heavy at both ends
    assert (rates > 0.9).mean() > 0.05
    assert rates.min() > 0
    assert rates.max() < 1


@pytest.mark.parametrize("world", WORLDS)
def test_the_hard_set_is_harder_by_its_shift(world):
    policy = build(world, hard_shift=1.5)
    rates = policy.all_pass_rates()
    shift = logit(rates[policy.sets["heldout"]]) - logit(rates[policy.sets["hard"]])
    np.testing.assert_allclose(shift, 1.5, rtol=1e-6)
