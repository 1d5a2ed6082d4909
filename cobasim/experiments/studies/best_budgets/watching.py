"""A uniform run that several allocators watch: what each would spend next, at any of its steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from cobasim.allocation import (
    CapabilityWindow,
    Observation,
    PassRateEstimator,
    make_allocator,
    measured_failure_rate,
    uniform_budgets,
)
from cobasim.arrays import IntArray
from cobasim.errors import InputError
from cobasim.loop import BatchOrder
from cobasim.loop.truth import build_estimator
from cobasim.runs import ORACLE, RunConfig
from cobasim.streams import ALLOCATION, stream
from cobasim.world import MeasuredPolicy

UNSERVED = frozenset({"rounds", "part"})  # what cannot be told before the outcomes are known


class Watcher:
    """An allocator with its own beliefs and memory.

    Args:
        name: of the allocator; with ``oracle-`` in front it is told the true pass rates.
        policy, config: of the run that it watches.

    Raises InputError for allocators whose budgets depend on outcomes of the same step.
    """

    def __init__(self, name: str, policy: MeasuredPolicy, config: RunConfig) -> None:
        self.allocator = make_allocator(name.removeprefix(ORACLE))
        if self.allocator.needs & UNSERVED:
            raise InputError(
                f"{name} spends or trains by the outcomes of the step itself, so that its budgets "
                "cannot be told beforehand: leave it out"
            )
        rule = config.loop.estimator or self.allocator.estimator
        told = "truth" if name.startswith(ORACLE) else rule
        self.estimator: PassRateEstimator = build_estimator(told, policy, config.loop)
        self.memory = self.allocator.memory(policy.num_prompts)
        self.policy = policy

    def observe(self, prompts: IntArray, batch: IntArray | None, **known: Any) -> Observation:
        """What it knows of prompts (m,)."""
        belief = self.estimator.estimate(prompts)
        policy, needs = self.policy, self.allocator.needs
        return Observation(
            belief.pass_rate,
            belief.attempts,
            posterior=belief.posterior,
            weighting=policy.weighting,
            prompts=prompts,
            batch=batch,
            memory=self.memory,
            features=policy.prompt_features(prompts) if "features" in needs else None,
            lengths=policy.prompt_lengths(prompts) if "lengths" in needs else None,
            gradient_norms=policy.gradient_norms(prompts) if "gradient_norms" in needs else None,
            **known,
        )


class WatchedRun:
    """A run with uniform budgets, step by step.

    Args:
        config: of the run.
        policy: at its first step.
        names: of the allocators that watch.
    """

    def __init__(self, config: RunConfig, policy: MeasuredPolicy, names: tuple[str, ...]) -> None:
        self.config, self.policy, self.limits = config, policy, config.loop.limits
        self.order = BatchOrder(policy.num_prompts, config.loop.batch_size, config.seed)
        self.capability = CapabilityWindow(config.loop.window)
        self.watchers = {name: Watcher(name, policy, config) for name in names}
        self.step = 0

    def batches(self, ahead: int, count: int = 1) -> tuple[IntArray, IntArray]:
        """Distinct prompts (m,) of ``count`` batches from ``ahead`` on, and the batch of each."""
        parts = [self.order.batch(self.step, ahead + number) for number in range(count)]
        prompts = np.concatenate(parts)
        first = np.sort(np.unique(prompts, return_index=True)[1])
        return prompts[first], first // parts[0].size

    def budgets(self, name: str, ahead: int) -> tuple[IntArray, IntArray]:
        """Prompts (m,) and budgets (m,) of an allocator if the batch ``ahead`` came next."""
        watcher = self.watchers[name]
        count = watcher.allocator.candidates()
        prompts, batch = self.batches(ahead, count)
        obs = watcher.observe(
            prompts,
            None if count == 1 else batch,
            failure_rate=self.capability.mean,
            progress=self.step / self.config.loop.steps,
            rng=stream(self.config.seed, ALLOCATION, self.step + ahead),
        )
        return prompts, watcher.allocator(obs, self.limits)

    def advance(self) -> None:
        """One uniform step."""
        prompts = self.batches(0)[0]
        budgets = uniform_budgets(prompts.size, self.limits)
        passes = self.policy.rollout(prompts, budgets)
        self.policy.update()
        for watcher in self.watchers.values():
            watcher.estimator.update(prompts, budgets, passes)
            watcher.allocator.learn(watcher.observe(prompts, None), self.limits, budgets, passes)
        rate = measured_failure_rate(passes, budgets)
        if rate is not None:
            self.capability.append(rate)
        self.step += 1
