"""A calibration problem: real runs, and a world whose runs are to come close to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.experiments.calibration.real_runs import CURVES, Key, RealRuns, Series, log_ratio
from cobasim.experiments.calibration.world import FittedWorld
from cobasim.runs import RunConfig, measured_pool, simulate
from cobasim.settings import validated
from cobasim.world import WorldConfig

Simulated = dict[Key, list[Series]]
"""(allocator, weighting) -> a Series for each simulated seed."""


@dataclass(frozen=True)
class Problem:
    """What is fitted to what.

    Attributes:
        real: the real runs.
        world: the world, and which of its settings are free.
        seeds: simulated seeds of each evaluation, the same for all.
    """

    real: RealRuns
    world: FittedWorld
    seeds: int

    @property
    def with_norms(self) -> bool:
        """Whether gradient norms of the adaptive runs are among the targets."""
        fitted = "prompt_noise" in self.world.knobs
        return fitted and bool(self.real.others) and self.real.know_norms

    def targets(self, seeds: Sequence[int] | None = None) -> FloatArray:
        """(2, t): means and standard errors of the real runs, as ``RealRuns.targets``."""
        return self.real.targets(self.with_norms, seeds)

    def evaluate(self, point: Mapping[str, Any]) -> FloatArray:
        """(t,) what corresponds to the targets in simulated runs at a point of the box."""
        keys = [self.real.uniform, *(self.real.others if self.with_norms else [])]
        simulated = self.simulate(point, keys, self.seeds)
        base = simulated[self.real.uniform]
        parts = [
            np.mean([getattr(series, name) for series in group], axis=0)
            for group in (base, *self.at_rates(point))
            for name in CURVES
        ]
        if self.with_norms:
            for key in self.real.others:
                pairs = zip(simulated[key], base, strict=True)
                ratios = [log_ratio(own.norm, even.norm) for own, even in pairs]
                parts.append(np.array([np.mean(ratios)]))
        return np.concatenate(parts)

    def simulate(self, point: Mapping[str, Any], keys: Sequence[Key], seeds: int) -> Simulated:
        """Runs of the world at a point of the box, with the real runs' loop and allocators."""
        pool = measured_pool(self.world.pass_rates, self.world.reading)
        size = {} if pool is None else {"num_prompts": pool.pass_rate.size}
        simulated: Simulated = {}
        for allocator, weighting in keys:
            per = "prompt" if weighting == "prompt" else "rollout"
            settings = {**size, **self.world.held, **point, "weighting": per}
            world = validated(WorldConfig, settings)
            for seed in range(seeds):
                config = RunConfig(
                    allocator=allocator,
                    seed=seed,
                    loop=self.real.loop,
                    world=world,
                    pass_rates=self.world.pass_rates,
                    reading=self.world.reading,
                )
                _, records = simulate(config, pool)
                simulated.setdefault((allocator, weighting), []).append(Series.of(records))
        return simulated

    def at_rates(self, point: Mapping[str, Any]) -> list[list[Series]]:
        """Uniform runs of the world at each of the real runs' other learning rates."""
        settings = {**self.world.held, **point}
        groups = []
        for factor in self.real.rates:
            scaled = {**settings, "learning_rate": factor * float(settings["learning_rate"])}
            groups.append(self.simulate(scaled, [self.real.uniform], self.seeds)[self.real.uniform])
        return groups


def distance(values: FloatArray, targets: FloatArray) -> float:
    """Mean squared distance in standard errors; ``targets``: (2, t), means and errors."""
    return float(np.mean(((values - targets[0]) / targets[1]) ** 2))
