"""The step that simulation and training share.

    batch of prompts -> pass-rate estimates -> capability -> budgets -> rollouts and pass counts
    -> policy update -> estimates and capability updated, one record

Only the learner differs: a simulated policy, or a language model with vLLM and GRPO.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from cobasim.allocation import (
    Allocator,
    CapabilityWindow,
    Observation,
    make_estimator,
    measured_failure_rate,
)
from cobasim.allocation.arrays import FloatArray, IntArray
from cobasim.config import LoopConfig
from cobasim.errors import InputError
from cobasim.order import BatchOrder
from cobasim.records import StepRecord, bin_counts

TRUTH_ATTEMPTS = 1e6  # the evidence that an oracle's rates are presented with


class Learner(Protocol):
    """What acts and learns: prompts are indices 0 .. num_prompts - 1 into its pool."""

    num_prompts: int

    def rollout(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """Sample ``budgets[i]`` rollouts of ``prompts[i]``; return how many passed, (m,)."""

    def update(self) -> dict[str, float]:
        """One policy update from the last rollouts; return numbers worth recording."""

    def evaluate(self) -> dict[str, Any]:
        """Accuracies by name ("heldout", ...); never seen by an allocator."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes in a run."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""


@runtime_checkable
class KnowsTruth(Protocol):
    """A learner whose true pass rates can be asked for: a simulation."""

    def pass_rates(self, prompts: IntArray) -> FloatArray:
        """True pass rates (m,)."""


class Loop:
    """The state between steps: what was seen of the prompts and of the policy.

    Args:
        learner: who acts and learns.
        config: sizes, bounds and rules of the loop.
        seed: fixes the order of prompts.
        estimator: pass-rate rule, a name in ESTIMATORS, or "truth" for an oracle.
    """

    def __init__(
        self, learner: Learner, config: LoopConfig, *, seed: int, estimator: str = "last"
    ) -> None:
        if estimator == "truth" and not isinstance(learner, KnowsTruth):
            raise InputError("an oracle needs a learner whose true pass rates are known")
        self.learner, self.config, self.limits = learner, config, config.limits
        size = learner.num_prompts
        self.truth = estimator == "truth"
        self.estimator = make_estimator(
            "last" if self.truth else estimator,
            size,
            **({} if self.truth else config.estimator_parameters),
        )
        self.capability = CapabilityWindow(config.window)
        self.weighting: str | None = getattr(learner, "weighting", None)
        clusters = getattr(learner, "cluster", None)
        self.order = BatchOrder(
            size,
            config.batch_size,
            seed,
            mix=config.mix,
            clusters=None if clusters is None else clusters[:size],
        )
        self.step, self.rollouts = 0, 0
        self.visited = np.zeros(size, dtype=np.bool_)
        self.ever_mixed = np.zeros(size, dtype=np.bool_)

    def observe(self) -> tuple[IntArray, Observation]:
        """The next batch of prompts (m,), and what an allocator may know of it."""
        prompts = self.order.batch(self.step)
        progress = min(self.step / self.config.steps, 1.0)
        if self.truth:
            assert isinstance(self.learner, KnowsTruth)
            rate = self.learner.pass_rates(prompts)
            attempts = np.full(rate.shape, TRUTH_ATTEMPTS)
            return prompts, Observation(
                rate, attempts, 1.0 - float(rate.mean()), progress, weighting=self.weighting
            )
        belief = self.estimator.estimate(prompts)
        return prompts, Observation(
            pass_rate=belief.pass_rate,
            attempts=belief.attempts,
            failure_rate=self.capability.mean,
            progress=progress,
            posterior=belief.posterior,
            weighting=self.weighting,
        )

    def start(self) -> StepRecord:
        """The record of step 0: the evaluation before any update."""
        return StepRecord(step=0, rollouts=0, evaluation=self.learner.evaluate())

    def act(
        self,
        prompts: IntArray,
        obs: Observation,
        budgets: IntArray,
        *,
        shape: tuple[float, float] | None = None,
        allocate_ms: float | None = None,
    ) -> StepRecord:
        """Spend ``budgets`` (m,) on ``prompts``, let the learner learn, and record the step."""
        passes = self.learner.rollout(prompts, budgets)
        metrics = self.learner.update()
        failure_rate = measured_failure_rate(passes, budgets)
        self.estimator.update(prompts, budgets, passes)
        if failure_rate is not None:
            self.capability.append(failure_rate)
        mixed = (passes > 0) & (passes < budgets)
        self.visited[prompts] = True
        self.ever_mixed[prompts[mixed]] = True
        self.step += 1
        self.rollouts += int(budgets.sum())
        due = self.step % self.config.eval_every == 0 or self.step == self.config.steps
        counts = np.bincount(budgets)
        return StepRecord(
            step=self.step,
            rollouts=self.rollouts,
            prompts=int(prompts.size),
            alpha=None if shape is None else shape[0],
            beta=None if shape is None else shape[1],
            failure_rate=failure_rate,
            smoothed_failure_rate=obs.failure_rate,
            effective_ratio=float(np.count_nonzero(mixed)) / prompts.size,
            budget_min=int(budgets.min()),
            budget_max=counts.size - 1,
            budget_gini=_gini(counts),
            bins=bin_counts(obs.pass_rate, obs.seen, budgets, mixed),
            never_mixed=1.0 - np.count_nonzero(self.ever_mixed) / np.count_nonzero(self.visited),
            allocate_ms=allocate_ms,
            learner=metrics,
            evaluation=self.learner.evaluate() if due else None,
        )

    def advance(self, allocator: Allocator) -> StepRecord:
        """One whole step with an allocator."""
        prompts, obs = self.observe()
        began = time.perf_counter()
        budgets = allocator(obs, self.limits)
        allocate_ms = 1e3 * (time.perf_counter() - began)
        shape = allocator.shape(obs)
        return self.act(prompts, obs, budgets, shape=shape, allocate_ms=allocate_ms)

    def state_dict(self) -> dict[str, Any]:
        """Loop and learner, for a checkpoint from which a resumed run equals an unbroken one."""
        return {
            "step": self.step,
            "rollouts": self.rollouts,
            "visited": self.visited.copy(),
            "ever_mixed": self.ever_mixed.copy(),
            "estimator": self.estimator.state_dict(),
            "capability": self.capability.state_dict(),
            "learner": self.learner.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``; config, seed and allocator must be the same."""
        self.step, self.rollouts = int(state["step"]), int(state["rollouts"])
        self.visited[...] = state["visited"]
        self.ever_mixed[...] = state["ever_mixed"]
        self.estimator.load_state_dict(state["estimator"])
        self.capability.load_state_dict(state["capability"])
        self.learner.load_state_dict(state["learner"])


def run(
    loop: Loop,
    allocator: Allocator,
    *,
    on_step: Callable[[StepRecord], None] | None = None,
) -> list[StepRecord]:
    """Run ``loop`` from where it is to its last step; returns the records, in order.

    ``on_step`` gets each record as it comes, for example ``RunWriter.append``.
    """
    records: list[StepRecord] = []
    while loop.step < loop.config.steps:
        if loop.step == 0 and not records:
            records.append(loop.start())
            if on_step is not None:
                on_step(records[-1])
        records.append(loop.advance(allocator))
        if on_step is not None:
            on_step(records[-1])
    return records


def _gini(counts: IntArray) -> float:
    """Gini coefficient of budgets given as counts (high + 1,) of prompts by budget.

    0 when all budgets are equal; towards 1 when one prompt has everything.
    """
    budgets = np.flatnonzero(counts)
    number = counts[budgets].astype(np.float64)
    mass = number * budgets
    total = float(mass.sum())
    if total == 0.0:
        return 0.0
    lorenz = np.cumsum(mass)
    area = float(np.dot(number, lorenz - 0.5 * mass)) / (float(number.sum()) * total)
    return max(0.0, 1.0 - 2.0 * area)
