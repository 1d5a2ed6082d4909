"""Train an allocator by reinforcement learning in cheap worlds, and write it as plain numbers.

PPO of stable-baselines3 (extra ``learn``, imported only when training starts) on the Gymnasium
environment in its form "rates". The reward of a step is its gain in held-out accuracy minus the
gain that uniform budgets make at the same step of the same seed, in points: both meet the same
luck, so most of the noise cancels, and what is learned is what differs from uniform.

Training seeds start at FIRST_SEED, far from the seeds 0, 1, .. of comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from threadpoolctl import threadpool_limits

from cobasim.allocation import Allocator, make_allocator
from cobasim.allocation.methods.learned import Network, class_of
from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.gym.env import RolloutBudgetEnv
from cobasim.loop import LoopConfig, run
from cobasim.records import StepRecord, own_versions
from cobasim.runs.comparison import build_loop
from cobasim.runs.config import RunConfig
from cobasim.settings import validated
from cobasim.world import WorldConfig

FIRST_SEED = 100_000  # of training
NUM_SEEDS = 256  # different training runs
TEST_SEED = 200_000  # of the test before and after training
ENVS = 16
HIDDEN = (32, 32)
# a cheap run: as many visits of a prompt as in the default comparison, at five times its
# learning rate in a fifth of its steps
CHEAP: dict[str, dict[str, Any]] = {
    "world": {"num_prompts": 512, "num_heldout": 1000, "learning_rate": 6e-3},
    "loop": {"steps": 60, "batch_size": 64, "total_budget": 1024},
}


@dataclass(frozen=True)
class Trained:
    """A network, and how it does beside uniform before and after training.

    Attributes:
        network: as ``Network.to_json`` writes it.
        before, after: (seeds,) final held-out accuracy minus uniform's, points, on seeds that
            were not trained on; before: the network as it was drawn.
        model: the model of stable-baselines3.
    """

    network: Network
    before: FloatArray
    after: FloatArray
    model: Any


def cheap_config(settings: Mapping[str, Any], **chosen: Any) -> RunConfig:
    """The run that training repeats: CHEAP, changed by flat names of the world and the loop.

    Raises InputError for an unknown name or a bad value.
    """
    parts = {name: dict(values) for name, values in CHEAP.items()}
    given = {name: value for name, value in chosen.items() if value is not None} | dict(settings)
    for name, value in given.items():
        if name in WorldConfig.model_fields:
            parts["world"][name] = value
        elif name in LoopConfig.model_fields:
            parts["loop"][name] = value
        else:
            raise InputError(f"unknown setting {name!r} of the world or the loop")
    if given.get("world", "logistic") != "logistic" and "learning_rate" not in given:
        parts["world"]["learning_rate"] = 5.0 * WorldConfig(world=given["world"]).learning_rate
    return validated(RunConfig, {"allocator": "uniform", **parts})


class MinusUniform(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Reward in points, minus that of uniform budgets at the same step of the same seed.

    Runs take turns over ``seeds``; uniform's gains are computed once a seed.
    """

    def __init__(self, env: RolloutBudgetEnv, seeds: range, first: int) -> None:
        super().__init__(env)
        self.seeds, self.turn = seeds, first
        self.gains: dict[int, FloatArray] = {}
        self.config = env.config

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """The next run; ``seed`` is ignored."""
        world = self.seeds[self.turn % len(self.seeds)]
        self.turn += ENVS
        if world not in self.gains:
            self.gains[world] = uniform_gains(self.config, world)
        self.own, self.count = self.gains[world], 0
        return self.env.reset(seed=world, options=options)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """A step, with the difference as reward."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self.count += 1
        reward = 100.0 * (float(reward) - float(self.own[self.count - 1]))
        return obs, reward, terminated, truncated, info


def _evaluated_each_step(config: RunConfig) -> RunConfig:
    loop = config.loop.model_copy(update={"eval_every": 1})
    return config.model_copy(update={"loop": loop})


def uniform_gains(config: RunConfig, seed: int) -> FloatArray:
    """Gains in held-out accuracy of each step under uniform budgets, (steps,)."""
    own = _evaluated_each_step(config).model_copy(update={"seed": seed})
    records = run(build_loop(own), make_allocator("uniform"))
    return np.diff([_heldout(record) for record in records])


def _heldout(record: StepRecord) -> float:
    assert record.evaluation is not None
    return float(record.evaluation["heldout"])


def minus_uniform(network: Network, config: RunConfig, seeds: range) -> FloatArray:
    """Final held-out accuracy minus uniform's, points, by seed: (seeds,)."""

    learned: Allocator = class_of(network)()
    found = []
    for seed in seeds:
        ends = []
        for allocator in (learned, make_allocator("uniform")):
            loop = build_loop(config.model_copy(update={"seed": seed}))
            ends.append(_heldout(run(loop, allocator)[-1]))
        found.append(100.0 * (ends[0] - ends[1]))
    return np.array(found)


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


def train(
    config: RunConfig,
    *,
    timesteps: int = 200_000,
    seed: int = 0,
    test_seeds: int = 8,
    command: str = "",
    on_progress: Callable[[int, float | None], None] = lambda steps, reward: None,
) -> Trained:
    """Train by PPO.

    Args:
        config: the run that is repeated; its allocator and seed are not used.
        timesteps: steps of the environment.
        seed: of the network and of PPO.
        test_seeds: runs of the test before and after.
        command: how this was called, for the provenance.
        on_progress: gets the steps done and the mean sum of rewards of the last 100 runs.

    Raises InputError where stable-baselines3 is not installed.
    """
    if find_spec("stable_baselines3") is None:
        raise InputError(
            "training an allocator needs stable-baselines3; pip install 'coba-testbed[learn]'"
        )
    import stable_baselines3
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    if config.loop.low >= config.loop.high:
        raise InputError("there is nothing to learn where low equals high")
    build_loop(config)  # refuses what cannot be built, before anything starts
    seeds = range(FIRST_SEED, FIRST_SEED + NUM_SEEDS)

    def environment(number: int) -> Callable[[], Any]:
        plain = RolloutBudgetEnv(config, form="rates")
        return lambda: Monitor(MinusUniform(plain, seeds, number))

    class Progress(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            last = [float(episode["r"]) for episode in self.model.ep_info_buffer or ()]
            on_progress(self.num_timesteps, float(np.mean(last)) if last else None)

    steps = config.loop.steps
    model = stable_baselines3.PPO(
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
    tests = range(TEST_SEED, TEST_SEED + test_seeds)
    before = minus_uniform(network_of(model, config), config, tests)
    with threadpool_limits(1):
        model.learn(timesteps, callback=Progress())
    found = network_of(model, config)
    after = minus_uniform(found, config, tests)
    provenance = {
        "command": command,
        "versions": {**own_versions(), "stable-baselines3": stable_baselines3.__version__},
        "config": config.model_dump(mode="json", exclude={"allocator", "parameters", "seed"}),
        "timesteps": int(model.num_timesteps),
        "seed": seed,
        "points above uniform on seeds not trained on": {
            "before": np.round(before, 3).tolist(),
            "after": np.round(after, 3).tolist(),
        },
    }
    return Trained(network_of(model, config, provenance), before, after, model)
