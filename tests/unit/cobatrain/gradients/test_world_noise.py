"""What the world adds as noise: the outcome's own chance is not in it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from cobasim.gradients import LowRank, MeasuredGroups
from cobatrain.gradients.features import Features
from cobatrain.gradients.rollout_groups import MeasuredNoise
from cobatrain.gradients.world_noise import outcome_variance, world_noise

PROMPTS, DIM, RANK, SIZE, HALF = 200, 64, 8, 40, 4


def test_the_variance_of_an_outcome_is_that_of_its_two_values():
    rates = np.array([0.05, 0.3, 0.5, 0.9])
    spread = np.sqrt(rates * (1 - rates))
    values = np.array([(1 - rates) / spread * (1 - rates), -rates / spread * -rates])
    chances = np.array([rates, 1 - rates])
    mean = (chances * values).sum(axis=0)
    np.testing.assert_allclose((chances * values**2).sum(axis=0) - mean**2, outcome_variance(rates))


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_rollouts_that_differ_by_outcome_and_noise_give_the_noise_back(noise):
    """Synthetic rollouts, s = (1-p) phi or -p phi, plus noise of known variance in each number."""
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.1, 0.9, PROMPTS)
    phi = np.zeros((PROMPTS, DIM))
    phi[:, :RANK] = rng.standard_normal((PROMPTS, RANK)) * np.linspace(1, 3, RANK)
    passes = rng.random((PROMPTS, 2 * HALF)) < rates[:, None]
    spread = np.sqrt(rates * (1 - rates))[:, None]
    advantage = np.where(passes, 1 - rates[:, None], -rates[:, None]) / spread
    slope = np.where(passes, 1 - rates[:, None], -rates[:, None])
    extra = noise * rng.standard_normal((PROMPTS, 2 * HALF, DIM))
    gradients = (advantage * slope)[..., None] * phi[:, None] + extra
    first, second = gradients[:, :HALF].mean(axis=1), gradients[:, HALF:].mean(axis=1)
    difference = (first - second) * np.sqrt(HALF / 2)
    square = (np.square(first).sum(axis=1) + np.square(second).sum(axis=1)) / 2
    groups = MeasuredGroups(
        prompt=np.arange(PROMPTS),
        rate=rates,
        level=np.full(PROMPTS, "a"),
        count=np.full(PROMPTS, HALF),
        square=square,
        product=(first * second).sum(axis=1),
        mean=((first + second) / 2).astype(np.float32),
    )
    squares = np.square(difference).sum(axis=1)
    directions = np.eye(DIM)[:RANK]
    features = Features(
        prompt=np.arange(PROMPTS),
        position=np.zeros(PROMPTS, dtype=np.int64),
        token=np.full(PROMPTS, -1),
        odds=np.log1p(-rates) - np.log(rates),
        coordinates=-phi[:, :RANK].astype(np.float32),
        own=np.zeros(PROMPTS),
        directions=directions,
        plain=LowRank(phi[:, :RANK], np.zeros(PROMPTS), directions),
        outside=0.0,
        error=0.0,
        kept=1.0,
    )
    # here nothing is hashed: what a sketch would have added is left in by an endless one
    found = world_noise(MeasuredNoise(groups, difference, squares, 8, 1.0), features, 10**9)
    scale = np.square(phi[:, :RANK]).mean(axis=0)
    np.testing.assert_allclose(found.along, noise**2, atol=0.5 * scale.max() * 0.2)
    if noise:
        assert found.total == pytest.approx(DIM * noise**2, rel=0.3)
        assert found.plain == pytest.approx(DIM * noise**2, rel=0.3)
    else:
        assert found.total < 0.2 * squares.mean()
        assert found.plain < 0.2 * groups.within.mean()
    assert (found.at[:, 1] > 0).all()
