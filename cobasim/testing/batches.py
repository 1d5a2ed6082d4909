"""The batches that allocators are tried with: degenerate ones, and ones as a run has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from cobasim.allocation import Limits, Observation

Batch = tuple[Observation, Limits]


def observation(
    pass_rate: ArrayLike,
    attempts: ArrayLike = 16.0,
    *,
    failure_rate: float | None = 0.5,
    progress: float = 0.0,
) -> Observation:
    """An observation for tests: rates (m,), and the rollouts behind them, (m,) or one number."""
    p = np.asarray(pass_rate, dtype=np.float64)
    tried = np.broadcast_to(np.asarray(attempts, dtype=np.float64), p.shape).copy()
    return Observation(p, tried, failure_rate, progress)


def degenerate_batches(low: int) -> Iterator[Batch]:
    """Batches of one kind: one prompt, all at an end, all equal, unseen; every kind of total."""
    batches: list[list[float]] = [
        [0.3], [0.0], [1.0], [0.0] * 7, [1.0] * 7, [0.5] * 6, [0.0, 1.0] * 4,
        [1e-300] * 3, [1.0 - 1e-16] * 3, [0.0, 0.0, 0.4, 1.0],
    ]  # fmt: skip
    for rates in batches:
        m = len(rates)
        partly = np.where(np.arange(m) % 2 == 0, 16.0, 0.0)
        for attempts in (np.full(m, 16.0), np.zeros(m), partly, np.full(m, 0.3)):
            for failure_rate in (None, 0.0, 0.4, 1.0):
                obs = observation(rates, attempts, failure_rate=failure_rate, progress=0.5)
                for total in {m * low, m * low + 1, m * (low + 3) + 1, m * (low + 7)}:
                    yield obs, Limits(min(total, m * (low + 7)), low, low + 7)
                yield obs, Limits(m * low, low, low)
                yield obs, Limits(m * (low + 3), low, 10**9)


def random_batches(rng: np.random.Generator, samples: int, low: int) -> Iterator[Batch]:
    """Batches as a run has them: measured rates with many ties, some prompts unseen."""
    for number in range(samples):
        m = int(rng.integers(1, 80))
        attempts = rng.choice([0.0, 0.3, 2.0, 16.0, 128.0], m)
        if number % 2:
            attempts = np.maximum(attempts, 2.0)  # none unseen
        true = rng.beta(0.35, 0.8, m)
        rolled = np.maximum(attempts, 1.0).astype(np.int64)
        rates = rng.binomial(rolled, true) / rolled if number % 3 else true
        rates = np.where(attempts > 0.0, rates, 0.5)
        least = low + int(rng.integers(0, 4))
        high = least + int(rng.integers(0, 60))
        limits = Limits(int(rng.integers(m * least, m * high + 1)), least, high)
        failure_rate = None if number % 5 == 0 else float(rng.random())
        obs = observation(rates, attempts, failure_rate=failure_rate, progress=float(rng.random()))
        if number % 4 == 3:  # with the evidence, as the estimator "posterior" keeps it
            passes = rates * attempts
            obs = dataclasses.replace(obs, posterior=(passes + 1.0, attempts - passes + 1.0))
        yield obs, limits
