"""A policy's rollouts on their way from ``rollout`` to ``update``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class BatchView:
    """Prompts of a batch as the policy is now.

    Attributes:
        prompts: (m,) indices into the pool.
        pass_rate: (m,) true pass rates.
        rows: what the world's ``gradients`` needs besides, such as gathered features.
    """

    prompts: IntArray
    pass_rate: FloatArray
    rows: Any = None


@dataclass(frozen=True, slots=True)
class WeighedGroups:
    """The groups of an update, m prompts.

    Attributes:
        view: their prompts.
        budgets: (m,) rollouts of each.
        weights: (m,) of the groups in the loss.
        move: (m,) of each group's logit.
        square: (m,) mean squared advantage of each group's rollouts.
    """

    view: BatchView
    budgets: IntArray
    weights: FloatArray
    move: FloatArray
    square: FloatArray

    @property
    def moves(self) -> FloatArray:
        """Weight times move of each group, (m,)."""
        return self.weights * self.move

    @property
    def spread(self) -> FloatArray:
        """Mean squared advantage of each group's rollouts over their number, (m,)."""
        return self.square / np.maximum(self.budgets, 1)


@dataclass(slots=True)
class Pending:
    """Rollouts that wait for the next update, which consumes them.

    Attributes:
        view: the prompts (m,) of the groups.
        budgets, passes: (m,) rollouts of each group, and how many passed.
        noise: (d,) standard normals of the update's noise; the same whatever the budgets are.
        rng: draws the outcomes of further rounds.
        sampled: prompts and rollouts of each round so far, whatever part is kept.
        baseline: (m,) baselines of the advantages; None: made from the group.
        loss_budgets: (m,) rollouts by which the loss weighs the groups; None: ``budgets``.
    """

    view: BatchView
    budgets: IntArray
    passes: IntArray
    noise: FloatArray
    rng: np.random.Generator
    sampled: list[tuple[IntArray, IntArray]]
    baseline: FloatArray | None = None
    loss_budgets: IntArray | None = None
