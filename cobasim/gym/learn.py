"""Train an allocator by reinforcement learning in cheap worlds, and write it as plain numbers.

PPO of stable-baselines3 (extra ``learn``, imported only when training starts) on the Gymnasium
environment in its form "rates". The reward of a step is its gain in held-out accuracy minus that
of uniform budgets (``MinusUniform``).

Training seeds start at FIRST_SEED, far from the seeds 0, 1, .. of comparisons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from cobasim.allocation.methods.learned import Network
from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.gym.against_uniform import MinusUniform, minus_uniform
from cobasim.gym.env import RolloutBudgetEnv
from cobasim.records import own_versions
from cobasim.runs import RunConfig, build_loop

FIRST_SEED = 100_000
"""The first seed of training."""
NUM_SEEDS = 256
"""Different training runs."""
TEST_SEED = 200_000
"""The first seed of the test before and after training."""
ENVS = 16
HIDDEN = (32, 32)

Progress = Callable[[int, float | None], None]


@dataclass(frozen=True)
class Trained:
    """A network, and how it compares with uniform before and after training.

    Attributes:
        network: as ``Network.to_json`` writes it.
        before, after: (seeds,) final held-out accuracy minus uniform's, points, on seeds that
            were not trained on; before: the network with its initial weights.
        model: the model of stable-baselines3.
    """

    network: Network
    before: FloatArray
    after: FloatArray
    model: Any


def train(
    config: RunConfig,
    *,
    timesteps: int = 200_000,
    seed: int = 0,
    test_seeds: int = 8,
    command: str = "",
    on_progress: Progress = lambda steps, reward: None,
) -> Trained:
    """Train by PPO.

    Args:
        config: the run that is repeated; its allocator and seed are not used.
        timesteps: steps of the environment.
        seed: of the network and of PPO.
        test_seeds: number of runs in the test before and after.
        command: how this was called, for the provenance.
        on_progress: gets the steps done and the mean sum of rewards of the last 100 runs.

    Raises InputError if stable-baselines3 is not installed, the bounds leave nothing to learn, or
    the run cannot be built.
    """
    if find_spec("stable_baselines3") is None:
        raise InputError(
            "training an allocator needs stable-baselines3; pip install 'coba-testbed[learn]'"
        )
    low, high = config.loop.low, config.loop.high
    if low >= high:
        raise InputError(
            f"there is nothing to learn with low {low} and high {high}; give low below high"
        )
    build_loop(config)  # an impossible config is refused before anything starts
    model = _new_model(config, seed)
    tests = range(TEST_SEED, TEST_SEED + test_seeds)
    before = minus_uniform(network_of(model, config), config, tests)
    with threadpool_limits(1):
        model.learn(timesteps, callback=_reporting(on_progress))
    after = minus_uniform(network_of(model, config), config, tests)
    provenance = _provenance(config, command, timesteps=int(model.num_timesteps), seed=seed)
    provenance["points above uniform on seeds not trained on"] = {
        "before": np.round(before, 3).tolist(),
        "after": np.round(after, 3).tolist(),
    }
    return Trained(network_of(model, config, provenance), before, after, model)


def _new_model(config: RunConfig, seed: int) -> Any:
    """An untrained PPO model on ENVS environments."""
    import stable_baselines3
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    seeds = range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)

    def environment(number: int) -> Callable[[], Any]:
        plain = RolloutBudgetEnv(config, form="rates")
        return lambda: Monitor(MinusUniform(plain, seeds[number::ENVS]))

    steps = config.loop.steps
    return stable_baselines3.PPO(
        "MlpPolicy",
        DummyVecEnv([environment(number) for number in range(ENVS)]),
        n_steps=steps,
        batch_size=ENVS * steps // 4,
        n_epochs=8,
        learning_rate=lambda left: 1e-3 * left,
        gamma=0.97,
        gae_lambda=0.95,
        policy_kwargs={"net_arch": list(HIDDEN), "log_std_init": float(np.log(0.25))},
        seed=seed,
        device="cpu",
    )


def _reporting(on_progress: Progress) -> Any:
    """A callback of stable-baselines3 that reports after each batch of rollouts."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Reporting(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            last = [float(episode["r"]) for episode in self.model.ep_info_buffer or ()]
            on_progress(self.num_timesteps, float(np.mean(last)) if last else None)

    return Reporting()


def _provenance(config: RunConfig, command: str, *, timesteps: int, seed: int) -> dict[str, Any]:
    import stable_baselines3

    return {
        "command": command,
        "versions": {**own_versions(), "stable-baselines3": stable_baselines3.__version__},
        "config": config.model_dump(mode="json", exclude={"allocator", "parameters", "seed"}),
        "timesteps": timesteps,
        "seed": seed,
    }


def network_of(model: Any, config: RunConfig, provenance: dict[str, Any] | None = None) -> Network:
    """The deterministic policy of a PPO model as plain arrays."""
    hidden = [part for part in model.policy.mlp_extractor.policy_net if hasattr(part, "weight")]
    layers = tuple(
        (
            part.weight.detach().cpu().numpy().astype(np.float64),
            part.bias.detach().cpu().numpy().astype(np.float64),
        )
        for part in (*hidden, model.policy.action_net)
    )
    return Network(layers, config.loop.estimator or "last", provenance)
