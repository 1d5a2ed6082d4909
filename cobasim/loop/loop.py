"""The step that simulation and training share.

    batch of prompts -> pass-rate estimates -> capability -> budgets -> rollouts and pass counts
    -> policy update -> estimates and capability updated, one record

Only the learner differs: a simulated policy, or a language model with vLLM and GRPO.

An allocator may spend in rounds, skip or draw prompts, and train on part of what it generated;
then steps cost different amounts. Runs are compared at equal rollouts: a run ends with the step
that brings it to steps x total rollouts, so one that spends less makes more updates.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cobasim.allocation import (
    Allocator,
    CapabilityWindow,
    Kept,
    Observation,
    make_estimator,
    measured_failure_rate,
)
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.loop.config import LoopConfig
from cobasim.loop.order import BatchOrder
from cobasim.records import StepRecord, bin_counts
from cobasim.streams import ALLOCATION, stream

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


@runtime_checkable
class SamplesInRounds(Protocol):
    """A learner that can go on sampling before it learns."""

    def rollout_more(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """As ``rollout``, but these rollouts join those made since the last update."""


@runtime_checkable
class TrainsOnPart(Protocol):
    """A learner that can leave out rollouts that it made."""

    def keep(self, prompts: IntArray, kept: Kept) -> None:
        """Let the next update see only this part (m,) of the rollouts of ``prompts`` (m,)."""


@runtime_checkable
class KnowsFeatures(Protocol):
    """A learner that has a feature vector of every prompt, such as an embedding."""

    def prompt_features(self, prompts: IntArray) -> FloatArray:
        """Features (m, d) that do not change in a run and may be shown to an allocator."""


@runtime_checkable
class KnowsLengths(Protocol):
    """A learner that knows how long the responses to a prompt are."""

    def prompt_lengths(self, prompts: IntArray) -> FloatArray:
        """Mean response lengths (m,), in any one unit."""


@runtime_checkable
class KnowsGradients(Protocol):
    """A learner that knows how strongly a prompt's logit depends on its parameters."""

    def gradient_norms(self, prompts: IntArray) -> FloatArray:
        """Norms (m,) of the gradients of prompts' logits, as of now."""


def check_learner(learner: Learner, kind: type[Allocator]) -> None:
    """Raise InputError for an allocator that needs more than this learner can do."""
    if kind.in_rounds and not isinstance(learner, SamplesInRounds):
        raise InputError(
            f"{kind.__name__} spends in rounds, but {type(learner).__name__} has no method "
            "rollout_more: choose another allocator, or add it (docs/add-learner.md)"
        )
    if kind.selects and not isinstance(learner, TrainsOnPart):
        raise InputError(
            f"{kind.__name__} trains on part of its rollouts, but {type(learner).__name__} has no "
            "method keep: choose another allocator, or add it (docs/add-learner.md)"
        )
    if kind.wants_features and not isinstance(learner, KnowsFeatures):
        raise InputError(
            f"{kind.__name__} needs a feature vector of every prompt, but {type(learner).__name__} "
            "has no method prompt_features: choose another allocator, or add it "
            "(docs/add-learner.md)"
        )


@dataclass
class Spent:
    """What one step has spent on its m candidates."""

    budgets: IntArray
    passes: IntArray
    rounds: int = 0
    seconds: float = 0.0  # of allocation


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
        self.seed = seed
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
        self.drawn = 0  # batches drawn so far beyond one a step
        self.memory: dict[str, NDArray[Any]] | None = None  # the allocator's
        self._memory_of: Allocator | None = None
        self.visited = np.zeros(size, dtype=np.bool_)
        self.ever_mixed = np.zeros(size, dtype=np.bool_)

    @property
    def done(self) -> bool:
        """Whether the run is at its end; see ``LoopConfig.finished``."""
        return self.config.finished(self.step, self.rollouts)

    def observe(self, batches: int = 1) -> tuple[IntArray, Observation]:
        """The prompts (m,) of the next batch, or batches, and what an allocator may know of them.

        Prompts are distinct: of a further batch, which may fall into the next epoch, only those
        that are new follow.
        """
        prompts, batch = self._candidates(batches)
        progress = min(self.rollouts / (self.config.steps * self.limits.total), 1.0)
        if self.truth:
            assert isinstance(self.learner, KnowsTruth)
            rate = self.learner.pass_rates(prompts)
            attempts = np.full(rate.shape, TRUTH_ATTEMPTS)
            return prompts, Observation(
                pass_rate=rate,
                attempts=attempts,
                failure_rate=1.0 - float(rate[: self.config.batch_size].mean()),
                progress=progress,
                weighting=self.weighting,
                prompts=prompts,
                batch=batch,
            )
        belief = self.estimator.estimate(prompts)
        return prompts, Observation(
            pass_rate=belief.pass_rate,
            attempts=belief.attempts,
            failure_rate=self.capability.mean,
            progress=progress,
            posterior=belief.posterior,
            weighting=self.weighting,
            prompts=prompts,
            batch=batch,
        )

    def _candidates(self, batches: int) -> tuple[IntArray, IntArray | None]:
        """Distinct prompts (m,) of the next batches, and which of these each is from (m,)."""
        parts = [self.order.batch(self.step, self.drawn + k) for k in range(batches)]
        if batches == 1:
            return parts[0], None
        prompts = np.concatenate(parts)
        first = np.sort(np.unique(prompts, return_index=True)[1])
        return prompts[first], first // parts[0].size

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
        return self._record(prompts, obs, budgets, passes, metrics, shape, allocate_ms)

    def _record(
        self,
        prompts: IntArray,
        obs: Observation,
        budgets: IntArray,
        passes: IntArray,
        metrics: dict[str, float],
        shape: tuple[float, float] | None,
        allocate_ms: float | None,
    ) -> StepRecord:
        """Count what a step spent, after its update."""
        failure_rate = measured_failure_rate(passes, budgets)
        self.estimator.update(prompts, budgets, passes)
        if failure_rate is not None:
            self.capability.append(failure_rate)
        mixed = (passes > 0) & (passes < budgets)
        self.visited[prompts] = True
        self.ever_mixed[prompts[mixed]] = True
        self.step += 1
        self.rollouts += int(budgets.sum())
        due = self.step % self.config.eval_every == 0 or self.done
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
        """One whole step with an allocator.

        Raises InputError for an allocator that the learner cannot serve, or that spends nothing
        or other than it says it does (``Allocator.exact``).
        """
        memory = self._remember(allocator)
        prompts, seen = self.observe(allocator.candidates())
        features = None
        if allocator.wants_features:
            assert isinstance(self.learner, KnowsFeatures)
            features = self.learner.prompt_features(prompts)
        rng = stream(self.seed, ALLOCATION, self.step) if "rng" in allocator.reads else None
        lengths = gradients = None
        if "lengths" in allocator.reads and isinstance(self.learner, KnowsLengths):
            lengths = self.learner.prompt_lengths(prompts)
        if "gradient_norms" in allocator.reads and isinstance(self.learner, KnowsGradients):
            gradients = self.learner.gradient_norms(prompts)
        obs = replace(
            seen,
            memory=memory,
            features=features,
            lengths=lengths,
            gradient_norms=gradients,
            rng=rng,
        )
        spent = self._spend(allocator, prompts, obs)
        shape = allocator.shape(obs)
        budgets, passes = spent.budgets, spent.passes
        kept = allocator.keep(obs, budgets, passes) if allocator.selects else None
        trained = int(budgets.sum())
        if kept is not None and kept.budgets.any():  # else: no group is of use, and none moves
            trained = int(kept.budgets.sum())
            assert isinstance(self.learner, TrainsOnPart)
            self.learner.keep(prompts, kept)
        metrics = self.learner.update()
        if allocator.in_rounds or allocator.selects:
            metrics = metrics | {"rounds": spent.rounds, "trained_rollouts": trained}
        allocator.learn(obs, self.limits, budgets, passes)
        if allocator.candidates() > 1:  # of further batches, those up to the last used are gone
            self.drawn += int(obs.batches[budgets > 0].max())
            shown = (obs.batches == 0) | (budgets > 0)
            prompts, budgets, passes = prompts[shown], budgets[shown], passes[shown]
            obs = obs.take(shown)
        return self._record(prompts, obs, budgets, passes, metrics, shape, 1e3 * spent.seconds)

    def _spend(self, allocator: Allocator, prompts: IntArray, obs: Observation) -> Spent:
        """Drive the rounds of an allocator; a group is the union of its rounds."""
        spent = Spent(np.zeros(prompts.size, np.int64), np.zeros(prompts.size, np.int64))
        began = time.perf_counter()
        plan = allocator.rounds(obs, self.limits)
        asked = next(plan, None)
        spent.seconds += time.perf_counter() - began
        while asked is not None:
            passes = self._roll(allocator, prompts, asked, spent)
            spent.budgets += asked
            spent.passes += passes
            began = time.perf_counter()
            try:
                asked = plan.send(passes)
            except StopIteration:
                asked = None
            spent.seconds += time.perf_counter() - began
        self._check(allocator, spent.budgets)
        return spent

    def _check(self, allocator: Allocator, budgets: IntArray) -> None:
        """Raise InputError for budgets that the allocator did not say it would give."""
        name, limits = type(allocator).__name__, self.limits
        total, least, most = int(budgets.sum()), int(budgets.min()), int(budgets.max())
        if total == 0:
            raise InputError(f"{name} spent no rollouts at step {self.step}")
        if most > limits.high:
            raise InputError(f"{name} gave a prompt {most} rollouts, above high ({limits.high})")
        if allocator.exact and (total != limits.total or least < limits.low):
            raise InputError(
                f"{name} spent {total} rollouts, {least} or more on a prompt, where {limits.total} "
                f"and {limits.low} were asked for: correct it, or let it say `exact = False`"
            )

    def _roll(
        self, allocator: Allocator, prompts: IntArray, asked: IntArray, spent: Spent
    ) -> IntArray:
        """Passes (m,) of one round."""
        whole = isinstance(asked, np.ndarray) and asked.dtype.kind in "iu"
        if not whole or asked.shape != prompts.shape or bool(np.any(asked < 0)):
            raise InputError(
                f"{type(allocator).__name__} must give {prompts.size} whole budgets >= 0, got "
                f"{asked!r}"
            )
        simple = allocator.exact and not allocator.in_rounds
        active = np.ones(prompts.shape, np.bool_) if simple else asked > 0
        passes = np.zeros(prompts.size, dtype=np.int64)
        if not active.any():
            return passes
        act = self.learner.rollout
        if spent.rounds > 0:
            assert isinstance(self.learner, SamplesInRounds)
            act = self.learner.rollout_more
        spent.rounds += 1
        if active.all():
            return act(prompts, asked)
        passes[active] = act(prompts[active], asked[active])
        return passes

    def _remember(self, allocator: Allocator) -> dict[str, NDArray[Any]]:
        """The memory of ``allocator``: new at the start of a run, checked after a restore."""
        if self.memory is not None and allocator == self._memory_of:
            return self.memory
        check_learner(self.learner, type(allocator))
        fresh = allocator.memory(self.learner.num_prompts)
        if self.memory is None or self._memory_of is not None:
            self.memory = fresh
        shapes = [{k: v.shape for k, v in one.items()} for one in (fresh, self.memory)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"the stored memory {shapes[1]} is not that of {type(allocator).__name__}, "
                f"{shapes[0]}: resume with the same allocator and prompts"
            )
        self._memory_of = allocator
        return self.memory

    def state_dict(self) -> dict[str, Any]:
        """Loop and learner, for a checkpoint from which a resumed run equals an unbroken one."""
        return {
            "step": self.step,
            "rollouts": self.rollouts,
            "drawn": self.drawn,
            "memory": {name: array.copy() for name, array in (self.memory or {}).items()},
            "visited": self.visited.copy(),
            "ever_mixed": self.ever_mixed.copy(),
            "estimator": self.estimator.state_dict(),
            "capability": self.capability.state_dict(),
            "learner": self.learner.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``; config, seed and allocator must be the same."""
        self.step, self.rollouts = int(state["step"]), int(state["rollouts"])
        self.drawn = int(state.get("drawn", 0))
        memory = state.get("memory") or None
        self.memory = memory and {name: np.array(array) for name, array in memory.items()}
        self._memory_of = None
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
    while not loop.done:
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
