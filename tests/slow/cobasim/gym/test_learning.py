"""Training an allocator with PPO."""

from __future__ import annotations

import numpy as np
import pytest

from cobasim.allocation.methods.learned import FEATURES
from cobasim.gym import ENV_ID, cheap_config, learn
from cobasim.scores import mean_interval


def test_numpy_says_what_the_trained_model_says():
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    config = cheap_config({}, steps=5, batch_size=16, total_budget=256, num_heldout=64)
    found = learn.train(config, timesteps=200, test_seeds=2)
    rng = np.random.default_rng(0)
    features = rng.random((500, len(FEATURES))).astype(np.float32)
    theirs, _ = found.model.predict(features, deterministic=True)
    ours = np.array([found.network(row.astype(np.float64)) for row in features])
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_training_teaches_and_is_reproducible():
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    config = cheap_config({"noise": 0.0}, steps=20, num_prompts=128)
    told = []
    found = learn.train(config, timesteps=9600, on_progress=lambda *done: told.append(done))
    assert abs(found.before).max() < 0.2  # as drawn it is next to uniform
    gain = mean_interval(found.after - found.before)
    assert gain.low > 0.0
    assert told[-1][0] >= 9600
    again = learn.train(config, timesteps=640)
    twice = learn.train(config, timesteps=640)
    assert again.network.to_json() == twice.network.to_json()


def test_stable_baselines_takes_the_environment_by_its_name():
    sb3 = pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    from stable_baselines3.common.env_util import make_vec_env

    for name in (ENV_ID, f"cobasim.gym:{ENV_ID}"):  # the second imports what registers it
        envs = make_vec_env(name, n_envs=2, seed=1)
        assert envs.reset()["pass_rate"].shape == (2, 64)
        envs.close()
    model = sb3.PPO("MultiInputPolicy", ENV_ID, n_steps=8, batch_size=8, seed=0, device="cpu")
    model.learn(total_timesteps=16)
    action, _ = model.predict(model.get_env().reset(), deterministic=True)
    assert action.shape == (1, 64)
