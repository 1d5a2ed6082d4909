"""Passes for beliefs about rewards that are any numbers of a range, from how much they spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import IntArray
from cobasim.errors import InputError

ROUNDING = 1e-6  # of rewards, over the largest of the range: trainers have them in 32 bits


@dataclass(frozen=True)
class RewardRange:
    """The range of rewards that have no threshold at which a rollout passes.

    Allocators reason about pass rates. What they need of one is how much the rewards of a prompt's
    rollouts differ, so a group of n rewards of variance v counts as n rollouts of which n p passed,

        p (1 - p) = v / (high - low)^2,    p >= 1/2 where the mean is above the middle,

    rounded, and at least 1 and at most n - 1 unless all rewards are equal. Rewards that are ``low``
    or ``high`` only are counted as they are. By the inequality of Bhatia and Davis (2000), p is
    at least as far from 1/2 as the mean's place in the range.

    Args:
        low, high: the least and the largest reward that there can be, finite, low < high.

    Raises InputError for other bounds.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
            raise InputError(
                f"RewardRange needs finite numbers low < high, got {self.low} and {self.high}"
            )

    def passes(self, rewards: ArrayLike, budgets: IntArray) -> tuple[IntArray, IntArray]:
        """Rollouts with a reward (m,), and how many count as passed (m,).

        Args:
            rewards: (n,) in the order of prompts, NaN where a rollout has none.
            budgets: (m,) rollouts of each prompt, summing to n.

        Raises InputError for another number of rewards, and for a reward outside the range.
        """
        given = np.asarray(rewards, dtype=np.float64)
        group = np.repeat(np.arange(budgets.size), budgets)
        if given.shape != group.shape:
            raise InputError(f"expected {group.size} rewards, got an array of shape {given.shape}")
        there = ~np.isnan(given)
        width = self.high - self.low
        alike = ROUNDING * max(abs(self.low), abs(self.high)) / width  # a difference that is none
        scaled = (given[there] - self.low) / width
        outside = np.flatnonzero((scaled < -alike) | (scaled > 1.0 + alike))
        if outside.size:
            raise InputError(
                f"a reward is {given[there][outside[0]]:g}, outside the stated range {self.low:g} "
                f"to {self.high:g}: state the range that the rewards really have"
            )
        scaled = np.clip(scaled, 0.0, 1.0)
        made = np.bincount(group[there], minlength=budgets.size)
        filled = np.maximum(made, 1)
        mean = np.bincount(group[there], weights=scaled, minlength=budgets.size) / filled
        centred = scaled - mean[group[there]]
        variance = np.bincount(group[there], weights=centred**2, minlength=budgets.size) / filled
        away = np.sqrt(np.maximum(0.25 - variance, 0.0))  # of p from 1/2
        passed = np.rint(made * np.where(mean > 0.5, 0.5 + away, 0.5 - away))
        differ = variance > alike**2
        passed = np.where(differ, np.clip(passed, 1, made - 1), passed)
        return made.astype(np.int64), passed.astype(np.int64)
