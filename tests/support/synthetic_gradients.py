"""Gradients of rollouts whose parts are known, and a step's equations from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cobasim.gradients import RunningParts, split_quarters
from cobasim.updates import group_weights

SIZE = 200  # numbers of a gradient


class Truth(NamedTuple):
    own: float
    shared: float
    noise: float


def step(truth, budgets, weighting, kind, rng, rates=(0.05, 0.95)):
    """The equations of one step; every prompt is new."""
    size = len(budgets)
    p = rng.uniform(*rates, size)
    common = np.zeros(SIZE)
    common[0] = np.sqrt(truth.shared)
    phi = common + np.sqrt(truth.own / SIZE) * rng.standard_normal((size, SIZE))
    group = np.repeat(np.arange(size), budgets)
    rewards = (rng.random(group.size) < p[group]).astype(float)
    passes = np.bincount(group, rewards, minlength=size)
    share = passes / budgets
    advantage = rewards - share[group]
    if kind == "grpo":
        spread = np.sqrt(share * (1 - share))[group]
        advantage = np.divide(advantage, spread, out=np.zeros(group.size), where=spread > 0)
    else:
        advantage *= (budgets / np.maximum(budgets - 1, 1))[group]
    coefficient = advantage * (group_weights(budgets, weighting) / budgets)[group]
    quarters = split_quarters(rewards, group, coefficient, rng)
    gradients = (rewards - p[group])[:, None] * phi[group]
    gradients += np.sqrt(truth.noise / SIZE) * rng.standard_normal((group.size, SIZE))
    sums = np.stack(
        [
            (coefficient[:, None] * gradients)[quarters.quarter == quarter].sum(axis=0)
            for quarter in range(4)
        ]
    )
    return quarters.equations(sums @ sums.T)


def average(truth, budgets, weighting, kind, steps, seed, rates=(0.05, 0.95)):
    """The parts from many steps, all counted alike."""
    rng = np.random.default_rng(seed)
    running = RunningParts(span=float("inf"))
    for _ in range(steps):
        running.add(step(truth, budgets, weighting, kind, rng, rates))
    return running.parts()
