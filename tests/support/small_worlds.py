"""Small simulated policies, and how they are trained."""

from __future__ import annotations

import numpy as np

from cobasim.world import WORLDS, WorldConfig

SMALL = {"num_prompts": 300, "num_heldout": 200}


def build(world: str = "logistic", seed: int = 0, rates=None, **settings):
    return WORLDS[world](WorldConfig(world=world, **(SMALL | settings)), seed, rates)


def train(policy, steps: int, budget: int = 16, size: int = 64, seed: int = 5):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        prompts = rng.choice(policy.num_prompts, size, replace=False)
        policy.rollout(prompts, np.full(size, budget))
        policy.update()
