"""The environment in its form "rates", in which an allocator is learned."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from small_runs import EPISODE

from cobasim.allocation import make_allocator
from cobasim.allocation.methods.learned import NUM_PREFERENCES, read_network
from cobasim.errors import InputError
from cobasim.gym import ENV_ID, RolloutBudgetEnv, cheap_config, learn
from cobasim.gym.against_uniform import MinusUniform
from cobasim.runs import RunConfig


@pytest.mark.filterwarnings("error")
def test_the_form_rates_passes_gymnasiums_checker():
    env = gymnasium.make(ENV_ID, config=EPISODE, form="rates").unwrapped
    check_env(env, skip_render_check=True)
    with pytest.raises(InputError, match="did you mean 'rates'"):
        gymnasium.make(ENV_ID, config=EPISODE, form="rate")


def test_the_environment_spends_what_the_allocator_would(learned_file):
    network = read_network(learned_file)
    allocator = make_allocator(f"learned:{learned_file}")
    env = RolloutBudgetEnv(RunConfig(**EPISODE), form="rates")
    seen, _ = env.reset(seed=1)
    for _ in range(6):
        wanted = allocator(env.observed, env.config.loop.limits)
        seen, _, _, _, info = env.step(network(seen.astype(np.float64)))
        np.testing.assert_array_equal(info["budgets"], wanted)


def test_uniform_earns_nothing_in_training():
    config = cheap_config({}, steps=5)
    env = MinusUniform(RolloutBudgetEnv(config, form="rates"), range(3))
    for _ in range(2):
        env.reset()
        for _ in range(5):
            _, reward, _, _, _ = env.step(np.zeros(NUM_PREFERENCES, np.float32))
            assert reward == pytest.approx(0.0, abs=1e-12)


def test_settings_of_training():
    assert cheap_config({}).loop.steps == 60
    assert cheap_config({}, world="skill-chain").world.learning_rate == pytest.approx(5e-2)
    with pytest.raises(InputError, match="unknown setting 'kapa'"):
        cheap_config({"kapa": 3})
    with pytest.raises(InputError, match="nothing to learn"):
        learn.train(cheap_config({}, low=16, high=16))
