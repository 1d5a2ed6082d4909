"""Peers that remember prompts between steps."""

from __future__ import annotations

import numpy as np
import pytest
from batches import observe
from scipy import special

from cobasim.allocation import Limits, allocate, make_allocator
from cobasim.errors import InputError


def test_vip_gp_comes_to_the_measured_rate_of_a_prompt_and_its_like():
    allocator = make_allocator("vip-gp")
    features = np.eye(3)[[0, 0, 1]]
    obs = observe([0.5] * 3, prompts=np.arange(3), memory=allocator.memory(3), features=features)
    budgets, passes = np.array([40, 0, 40]), np.array([30, 0, 4])
    for _ in range(30):
        allocator.learn(obs, Limits(80, 0, 40), budgets, passes)
    found = special.expit(allocator.predict(obs))
    np.testing.assert_allclose(found[[0, 2]], [0.744, 0.11], atol=0.01)
    assert 0.5 < found[1] < 0.744  # never tried, but like the first


def test_vip_gp_needs_features():
    with pytest.raises(InputError, match="prompt features"):
        allocate([0.1, 0.5], 20, allocator="vip-gp")


def test_greso_skips_with_one_minus_p_to_the_streak():
    greso = make_allocator("greso")
    memory = greso.memory(6)
    memory["streak"][:] = [0, 1, 2, -1, -3, 50]
    memory["explore"][:] = [0.5, 0.8]
    obs = observe([0.5] * 6, prompts=np.arange(6), memory=memory)
    np.testing.assert_allclose(greso.visit_chance(obs), [1, 0.5, 0.25, 0.8, 0.512, 0.01])
    budgets, passes = np.full(6, 4), np.array([4, 4, 0, 0, 2, 4])
    budgets[5] = passes[5] = 0  # skipped: its streak stays
    greso.learn(obs, Limits(24, 2, 8), budgets, passes)
    assert memory["streak"].tolist() == [1, 2, -1, -2, 0, 50]
