"""How much better than uniform budgets: by step as a reward, and at the end of a run as a score.

Both runs have the same seed and the same random draws, so most of the noise cancels and the
difference from uniform remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsFloat

import gymnasium
import numpy as np

from cobasim.allocation import Allocator, make_allocator
from cobasim.allocation.methods.learned import Network, class_of
from cobasim.arrays import FloatArray
from cobasim.gym.env import RolloutBudgetEnv
from cobasim.loop import run
from cobasim.records import StepRecord
from cobasim.runs import RunConfig, build_loop


class MinusUniform(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Reward in points, minus that of uniform budgets at the same step of the same seed.

    Runs take turns over ``seeds``; uniform's gains are computed once per seed.
    """

    def __init__(self, env: RolloutBudgetEnv, seeds: Sequence[int]) -> None:
        super().__init__(env)
        self.config = env.config
        self.seeds, self.turn = seeds, 0
        self.gains: dict[int, FloatArray] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start the next run; ``seed`` is ignored."""
        world = self.seeds[self.turn % len(self.seeds)]
        self.turn += 1
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


def uniform_gains(config: RunConfig, seed: int) -> FloatArray:
    """Gain in held-out accuracy of each step under uniform budgets, (steps,)."""
    loop = config.loop.model_copy(update={"eval_every": 1})
    evaluated = config.model_copy(update={"loop": loop, "seed": seed})
    records = run(build_loop(evaluated), make_allocator("uniform"))
    return np.diff([_heldout(record) for record in records])


def minus_uniform(network: Network, config: RunConfig, seeds: Sequence[int]) -> FloatArray:
    """Final held-out accuracy of a network's budgets minus uniform's, points, (seeds,)."""
    learned: Allocator = class_of(network)()
    differences = []
    for seed in seeds:
        ends = []
        for allocator in (learned, make_allocator("uniform")):
            loop = build_loop(config.model_copy(update={"seed": seed}))
            ends.append(_heldout(run(loop, allocator)[-1]))
        differences.append(100.0 * (ends[0] - ends[1]))
    return np.array(differences)


def _heldout(record: StepRecord) -> float:
    assert record.evaluation is not None
    return float(record.evaluation["heldout"])
