"""One batch, several allocators: what each would do with it, in numbers. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.allocation import Limits, Observation, ValueAllocator, make_allocator, own_parameters
from cobasim.allocation.solving.values import ValueFunction
from cobasim.arrays import FloatArray, IntArray
from cobasim.difficulty import DIFFICULTY_CLASSES, difficulty_class
from cobasim.updates import expected_group_update, group_weights


@dataclass(frozen=True)
class Outcome:
    """What one allocator does with a batch of m prompts.

    Attributes:
        allocator: its name.
        budgets: (m,) rollouts.
        value: its value function of the batch; None where it has none.
        shape: (alpha, beta) of its preference density; None where it has none.
        allocate_ms: time of the allocation, best of three, milliseconds.
        at_low, at_high: prompts at a bound.
        mixed: expected share of groups with both outcomes, if the estimates are the truth.
        update: expected size of the step along the prompts' own gradients by loss weighting:
            sum_i w_i E[u_i], u as ``cobasim.updates.group_update``.
        class_share: (5,) share of the budget by difficulty class of the estimate.
    """

    allocator: str
    budgets: IntArray
    value: ValueFunction | None
    shape: tuple[float, float] | None
    allocate_ms: float
    at_low: int
    at_high: int
    mixed: float
    update: dict[str, float]
    class_share: FloatArray

    def threshold(self, limits: Limits) -> float | None:
        """log of the least marginal gain that was bought; None without a value function.

        In an optimum no prompt below its upper bound has a larger gain left (but for ties).
        """
        bought = np.flatnonzero(self.budgets > limits.low)
        if self.value is None or not bought.size:
            return None
        gains = self.value.log_gain_of(bought, self.budgets[bought] - 1)
        gains = gains[np.isfinite(gains)]
        return float(gains.min()) if gains.size else None


def what_if(
    obs: Observation,
    limits: Limits,
    allocators: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    update: str = "grpo",
) -> list[Outcome]:
    """Let each allocator spend ``limits`` on the observed batch.

    Args:
        obs: m prompts.
        limits: total and bounds.
        allocators: names, or import paths.
        parameters: each allocator gets those that it takes.
        update: rule of the policy update, a name in ``cobasim.updates.UPDATES``.

    Raises InputError for an infeasible total, an unknown name or a bad parameter.
    """
    found = []
    classes = difficulty_class(obs.pass_rate)
    for name in allocators:
        allocator = make_allocator(name, **own_parameters(name, parameters or {}))
        times = []
        for _ in range(3):
            began = time.perf_counter()
            budgets = allocator(obs, limits)
            times.append(time.perf_counter() - began)
        p, n = obs.pass_rate, budgets
        moves = expected_group_update(p, n, update)
        spent = np.bincount(classes, weights=n, minlength=len(DIFFICULTY_CLASSES))
        found.append(
            Outcome(
                allocator=name,
                budgets=budgets,
                value=allocator.value(obs) if isinstance(allocator, ValueAllocator) else None,
                shape=allocator.shape(obs),
                allocate_ms=1e3 * min(times),
                at_low=int(np.count_nonzero(n == limits.low)),
                at_high=int(np.count_nonzero(n == limits.high)),
                mixed=float(np.mean(np.where(n > 0, 1.0 - p**n - (1.0 - p) ** n, 0.0))),
                update={
                    weighting: float(group_weights(n, weighting) @ moves)
                    for weighting in ("rollout", "prompt")
                },
                class_share=spent / max(int(n.sum()), 1),
            )
        )
    return found


def observation_of_bins(
    bins: Mapping[str, Sequence[int]], failure_rate: float | None
) -> Observation:
    """The batch of a recorded step, from its counts by pass-rate bin (``records.bin_counts``).

    Records keep counts, not prompts: each prompt is put in the middle of its bin, unseen ones have
    no attempts.
    """
    middles = np.array([0.0, *((low + 0.5) / 10 for low in range(10)), 1.0, 0.5])
    counts = np.asarray(bins["prompts"], dtype=np.int64)
    rates = np.repeat(middles, counts)
    attempts = np.repeat(np.r_[np.ones(counts.size - 1), 0.0], counts)
    return Observation(rates, attempts, failure_rate=failure_rate)
