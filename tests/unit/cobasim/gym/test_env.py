"""The Gymnasium environment is the same loop, and a good citizen of Gymnasium."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from small_runs import EPISODE

from cobasim.allocation import Limits, make_allocator
from cobasim.allocation.methods.learned import budgets_from_preferences
from cobasim.errors import InputError
from cobasim.gym import ENV_ID
from cobasim.loop import run
from cobasim.runs import RunConfig, build_loop


def make(**settings):
    return gymnasium.make(ENV_ID, config=EPISODE, **settings)


@pytest.mark.parametrize("world", ["logistic", "skill-chain"])
@pytest.mark.filterwarnings("error")
def test_passes_gymnasiums_checker(world):
    check_env(make(world=world).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vectorises(mode):
    envs = gymnasium.make_vec(ENV_ID, num_envs=2, vectorization_mode=mode, config=EPISODE)
    try:
        obs, _ = envs.reset(seed=[1, 1])
        assert obs["pass_rate"].shape == (2, 16)
        for _ in range(6):
            obs, reward, terminated, truncated, _ = envs.step(envs.action_space.sample() * 0)
        assert reward[0] == reward[1]
        assert truncated.all()
        assert not terminated.any()
    finally:
        envs.close()


def test_equal_preferences_are_the_uniform_run_of_the_loop():
    env = make()
    env.reset(seed=4)
    rewards = []
    for _ in range(6):
        _, reward, _, _, info = env.step(np.zeros(16, np.float32))
        assert (info["budgets"] == 16).all()
        rewards.append(reward)
    config = RunConfig(allocator="uniform", seed=4, **EPISODE)
    records = run(build_loop(config), make_allocator("uniform"))
    gain = records[-1].evaluation["heldout"] - records[0].evaluation["heldout"]
    assert sum(rewards) == pytest.approx(gain)


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=40), st.data())
def test_any_preferences_become_feasible_budgets(preferences, data):
    size = len(preferences)
    low = data.draw(st.integers(0, 4))
    high = low + data.draw(st.integers(0, 60))
    total = data.draw(st.integers(size * low, size * high))
    budgets = budgets_from_preferences(np.array(preferences), Limits(total, low, high))
    assert budgets.sum() == total
    assert budgets.min() >= low
    assert budgets.max() <= high
    order = np.argsort(preferences, kind="stable")
    assert (np.diff(budgets[order]) >= -1).all()  # a larger preference never gets much less


def test_what_is_preferred_gets_more():
    env = make()
    env.reset(seed=0)
    action = np.zeros(16, np.float32)
    action[3] = 0.4
    *_, info = env.step(action)
    assert info["budgets"][3] > 2 * np.delete(info["budgets"], 3).max()


def test_bad_use_is_refused():
    env = make().unwrapped
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros(16))
    with pytest.raises(RuntimeError, match="reset"):
        _ = env.observed
    env.reset(seed=0)
    with pytest.raises(InputError, match="NaN"):
        env.step(np.full(16, np.nan))
    with pytest.raises(InputError, match="kappa"):
        make(kappa=3)
