"""An allocator of one's own that remembers prompts and draws lots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation import Allocator, uniform_budgets


@dataclass(frozen=True, kw_only=True)
class Remembering(Allocator):
    """Moves a rollout from prompts that passed most, by lot and in its memory, to the others."""

    needs: ClassVar[frozenset[str]] = frozenset({"randomness"})

    def memory(self, num_prompts):
        return {"passes": np.full(num_prompts, 3), "steps": np.zeros(1)}

    def __call__(self, obs, limits):
        budgets = uniform_budgets(obs.prompts.size, limits.for_batch(obs.prompts.size))
        order = np.lexsort((obs.rng.random(budgets.size), obs.memory["passes"][obs.prompts]))
        for poor, rich in zip(order, order[::-1], strict=True):
            if poor != rich and budgets[poor] < limits.high and budgets[rich] > limits.low:
                budgets[poor], budgets[rich] = budgets[poor] + 1, budgets[rich] - 1
        return budgets

    def learn(self, obs, limits, budgets, passes):
        obs.memory["passes"][obs.prompts] += passes + obs.rng.integers(0, 2, passes.size)
        obs.memory["steps"] += 1
