"""A uniform run that several allocators watch: what each would spend next, at any of its steps."""

from __future__ import annotations

from cobasim.allocation import (
    Observation,
    PassRateEstimator,
    make_allocator,
    uniform_budgets,
)
from cobasim.arrays import IntArray
from cobasim.errors import InputError
from cobasim.loop import TRUTH, Loop, build_estimator
from cobasim.runs import ORACLE

UNSERVED = frozenset({"rounds", "part"})  # what cannot be told before the outcomes are known


class Watcher:
    """An allocator with its own beliefs and memory.

    Args:
        name: of the allocator; with ``oracle-`` in front it is told the true pass rates.
        loop: of the run that it watches.

    Raises InputError for allocators whose budgets depend on outcomes of the same step.
    """

    def __init__(self, name: str, loop: Loop) -> None:
        self.allocator = make_allocator(name.removeprefix(ORACLE))
        if self.allocator.needs & UNSERVED:
            raise InputError(
                f"{name} spends or trains by the outcomes of the step itself, so that its budgets "
                "cannot be told beforehand: leave it out"
            )
        rule = loop.config.estimator or self.allocator.estimator
        told = TRUTH if name.startswith(ORACLE) else rule
        self.estimator: PassRateEstimator = build_estimator(told, loop.learner, loop.config)
        self.memory = self.allocator.memory(loop.learner.num_prompts)
        self.loop = loop

    def observe(self, prompts: IntArray, batch: IntArray | None, ahead: int = 0) -> Observation:
        """What it knows of prompts (m,), which come ``ahead`` batches after the next one."""
        return self.loop.seen(prompts, batch, self.estimator, self.allocator, self.memory, ahead)

    def learn(self, prompts: IntArray, budgets: IntArray, passes: IntArray) -> None:
        """From the outcomes of a step, before the policy's update; all (m,)."""
        self.allocator.learn(self.observe(prompts, None), self.loop.limits, budgets, passes)
        self.estimator.update(prompts, budgets, passes)


class WatchedRun:
    """A run with uniform budgets, step by step.

    Args:
        loop: of the run, at its first step.
        names: of the allocators that watch.
    """

    def __init__(self, loop: Loop, names: tuple[str, ...]) -> None:
        self.loop = loop
        self.watchers = {name: Watcher(name, loop) for name in names}

    def budgets(self, name: str, ahead: int) -> tuple[IntArray, IntArray]:
        """Prompts (m,) and budgets (m,) of an allocator if the batch ``ahead`` came next."""
        watcher = self.watchers[name]
        prompts, batch = self.loop.draw(watcher.allocator.candidates(), ahead)
        return prompts, watcher.allocator(watcher.observe(prompts, batch, ahead), self.loop.limits)

    def advance(self) -> None:
        """One uniform step."""
        loop = self.loop
        obs = loop.observe()
        prompts, _ = loop.draw()
        budgets = uniform_budgets(prompts.size, loop.limits)

        def learn(passes: IntArray) -> None:
            for watcher in self.watchers.values():
                watcher.learn(prompts, budgets, passes)

        loop.act(obs, budgets, on_passes=learn)
