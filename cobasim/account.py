"""What is known between steps, whoever rolls out and learns; and what a step spent, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cobasim.allocation import (
    Allocator,
    CapabilityWindow,
    Observation,
    PassRateEstimator,
    measured_failure_rate,
)
from cobasim.arrays import FloatArray, IntArray, resized
from cobasim.errors import InputError
from cobasim.records import bin_counts
from cobasim.streams import ALLOCATION, stream


class Account:
    """What was seen of the prompts and of the policy, from step to step.

    ``cobasim.loop`` keeps one for the learner that it drives, ``cobasim.budgets`` one for a trainer
    that drives itself.

    Args:
        estimator: of pass rates, for the pool of prompts.
        num_prompts: P, the size of the pool.
        window: steps in the moving average of the failure rate.
        seed: of the randomness of allocators.
        share_spent: the share of what a run may spend, from its rollouts and tokens so far; None:
            nobody knows, so that progress stays 0.
        weighting: how the loss weights prompts; None: nobody knows.
    """

    def __init__(
        self,
        estimator: PassRateEstimator,
        num_prompts: int,
        *,
        window: int,
        seed: int,
        share_spent: Callable[[int, float], float] | None,
        weighting: str | None,
    ) -> None:
        self.estimator, self.num_prompts = estimator, num_prompts
        self.capability = CapabilityWindow(window)
        self.coverage = Coverage(num_prompts)
        self.seed, self.share_spent, self.weighting = seed, share_spent, weighting
        self.step, self.rollouts = 0, 0
        self.tokens = 0.0  # of responses, if they are counted
        self.memory: dict[str, NDArray[Any]] | None = None  # of the allocator ``memory_of``
        self.memory_of: Allocator | None = None  # None: of the first one that asks for it

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 .. 1."""
        if self.share_spent is None:
            return 0.0
        return min(self.share_spent(self.rollouts, self.tokens), 1.0)

    def rng(self, ahead: int = 0) -> np.random.Generator:
        """The randomness of the allocator, ``ahead`` batches after the next one."""
        return stream(self.seed, ALLOCATION, self.step + ahead)

    def remember(self, allocator: Allocator) -> dict[str, NDArray[Any]]:
        """The memory of ``allocator``: new at the start of a run, checked after a restore.

        Raises InputError if what was restored is the memory of another allocator or pool.
        """
        if self.memory is not None and allocator == self.memory_of:
            return self.memory
        fresh = allocator.memory(self.num_prompts)
        if self.memory is None or self.memory_of is not None:
            self.memory = fresh
        shapes, stored = (
            {key: array.shape for key, array in memory.items()} for memory in (fresh, self.memory)
        )
        if shapes != stored:
            raise InputError(
                f"the stored memory {stored} is not that of {type(allocator).__name__}, {shapes}: "
                "resume with the same allocator and prompts"
            )
        if self.memory is not fresh:  # as read from wherever it was stored
            types = {name: array.dtype for name, array in fresh.items()}
            self.memory = {n: a.astype(types[n], copy=False) for n, a in self.memory.items()}
        self.memory_of = allocator
        return self.memory

    def observe(
        self,
        prompts: IntArray,
        memory: Mapping[str, NDArray[Any]] | None,
        *,
        batch: IntArray | None = None,
        estimator: PassRateEstimator | None = None,
        **served: Any,
    ) -> Observation:
        """What somebody with these beliefs and this memory may know of prompts; changes nothing.

        Args:
            prompts: (m,) distinct indices into the pool.
            memory: the allocator's.
            batch: (m,) which of the batches drawn for the step each prompt is from; None: one.
            estimator: whose beliefs; None: the account's own.
            served: further fields of ``Observation``.
        """
        belief = (self.estimator if estimator is None else estimator).estimate(prompts)
        return Observation(
            pass_rate=belief.pass_rate,
            attempts=belief.attempts,
            failure_rate=self.capability.mean,
            progress=self.progress,
            posterior=belief.posterior,
            weighting=self.weighting,
            prompts=prompts,
            batch=batch,
            memory=memory,
            **served,
        )

    def count(
        self,
        obs: Observation,
        budgets: IntArray,
        passes: IntArray,
        shape: tuple[float, float] | None,
        tokens: FloatArray | None = None,
    ) -> dict[str, Any]:
        """Learn the outcomes (m,) of one step; returns what ``StepRecord`` says of it.

        ``shape``: (alpha, beta) of the preference density that the allocator used, if it has one.
        ``tokens`` (m,): of all responses of each group, if they are counted.
        """
        assert obs.prompts is not None
        failure_rate = measured_failure_rate(passes, budgets)
        self.estimator.update(obs.prompts, budgets, passes)
        if failure_rate is not None:
            self.capability.append(failure_rate)
        self.coverage.add(obs.prompts, budgets, passes)
        self.step += 1
        self.rollouts += int(budgets.sum())
        if tokens is not None:
            self.tokens += float(tokens.sum())
        alpha, beta = (None, None) if shape is None else shape
        return {
            "step": self.step,
            "rollouts": self.rollouts,
            "alpha": alpha,
            "beta": beta,
            "failure_rate": failure_rate,
            "never_mixed": self.coverage.never_mixed,
            "tokens": None if tokens is None else self.tokens,
            **step_numbers(obs, budgets, passes, tokens),
        }

    def resize(self, num_prompts: int) -> None:
        """Another size of the pool: further prompts are unseen, those beyond it are forgotten."""
        self.estimator.resize(num_prompts)
        self.coverage.resize(num_prompts)
        if self.memory and self.memory_of is not None:
            self.memory = {
                name: _rows_of(self.memory[name], fresh)
                for name, fresh in self.memory_of.memory(num_prompts).items()
            }
        self.num_prompts = num_prompts

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes in a run, as plain numbers and arrays."""
        return {
            "step": self.step,
            "rollouts": self.rollouts,
            "tokens": self.tokens,
            "memory": {name: array.copy() for name, array in (self.memory or {}).items()},
            "visited": self.coverage.visited.copy(),
            "ever_mixed": self.coverage.ever_mixed.copy(),
            "estimator": self.estimator.state_dict(),
            "capability": self.capability.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore ``state_dict``; the settings must be the same."""
        self.step, self.rollouts = int(state["step"]), int(state["rollouts"])
        # an older checkpoint has no tokens: what was spent before it is not known
        self.tokens = float(state.get("tokens", np.nan))
        memory = state.get("memory") or None
        self.memory = memory and {name: np.array(array) for name, array in memory.items()}
        self.memory_of = None
        self.coverage.visited[...] = state["visited"]
        self.coverage.ever_mixed[...] = state["ever_mixed"]
        self.estimator.load_state_dict(state["estimator"])
        self.capability.load_state_dict(state["capability"])


def _rows_of(array: NDArray[Any], fresh: NDArray[Any]) -> NDArray[Any]:
    """``array`` in the shape of ``fresh``, whose rows fill what it has not."""
    if array.shape == fresh.shape:  # no array over the pool
        return array
    kept = min(len(array), len(fresh))
    fresh[:kept] = array[:kept]
    return fresh


class Coverage:
    """Which prompts of the pool were visited, and which ever had a mixed group."""

    def __init__(self, num_prompts: int) -> None:
        self.visited = np.zeros(num_prompts, dtype=np.bool_)
        self.ever_mixed = np.zeros(num_prompts, dtype=np.bool_)

    def resize(self, num_prompts: int) -> None:
        """Another size of the pool, as ``Account.resize``."""
        self.visited = resized(self.visited, num_prompts)
        self.ever_mixed = resized(self.ever_mixed, num_prompts)

    def add(self, prompts: IntArray, budgets: IntArray, passes: IntArray) -> None:
        """Count one step's prompts (m,)."""
        mixed = (passes > 0) & (passes < budgets)
        self.visited[prompts[budgets > 0]] = True
        self.ever_mixed[prompts[mixed]] = True

    @property
    def never_mixed(self) -> float:
        """Share of the visited prompts that never had a mixed group."""
        return float(1.0 - np.count_nonzero(self.ever_mixed) / np.count_nonzero(self.visited))


def step_numbers(
    obs: Observation, budgets: IntArray, passes: IntArray, tokens: FloatArray | None = None
) -> dict[str, Any]:
    """Fields of ``StepRecord`` that follow from a step's m prompts, budgets and passes (m,).

    ``tokens`` (m,): of all responses of each group, if they are counted.
    """
    mixed = (passes > 0) & (passes < budgets)
    counts = np.bincount(budgets)
    tried = budgets > 0
    lengths = None if tokens is None else tokens[tried] / budgets[tried]
    return {
        "prompts": int(budgets.size),
        "smoothed_failure_rate": obs.failure_rate,
        "mixed_share": float(np.count_nonzero(mixed)) / max(int(tried.sum()), 1),
        "budget_min": int(budgets.min()),
        "budget_max": counts.size - 1,
        "budget_gini": gini(counts),
        "bins": bin_counts(obs.pass_rate, obs.seen, budgets, mixed, obs.attempts, tokens),
        **({} if lengths is None else length_numbers(lengths)),
    }


def length_numbers(lengths: FloatArray) -> dict[str, float]:
    """Least, median and largest of the groups' mean response lengths (g,), g >= 1."""
    return {
        "length_min": float(lengths.min()),
        "length_median": float(np.median(lengths)),
        "length_max": float(lengths.max()),
    }


def gini(counts: IntArray) -> float:
    """Gini coefficient of budgets given as counts (high + 1,) of prompts by budget.

    0 if all budgets are equal; towards 1 if one prompt has everything.
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
