"""What several allocators would do with one batch, in numbers. Pure, except that it is timed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.allocation import (
    Allocator,
    Limits,
    Observation,
    ValueAllocator,
    ValueFunction,
    check_evidence,
    find_allocator,
    make_allocator,
    own_parameters,
)
from cobasim.arrays import FloatArray, IntArray
from cobasim.difficulty import DIFFICULTY_CLASSES, difficulty_class
from cobasim.updates import expected_group_update, group_weights, mixed_chance

_REPEATS = 3  # how often an allocation is timed


@dataclass(frozen=True)
class Outcome:
    """What one allocator does with a batch of m prompts.

    Attributes:
        allocator: its name.
        budgets: (m,) rollouts.
        value: its value function for the batch; None if it has none.
        shape: (alpha, beta) of its preference density; None if it has none.
        allocate_ms: time of the allocation, best of three, milliseconds.
        at_low, at_high: prompts at a bound.
        mixed: expected share of mixed groups, if the estimates are the truth.
        update: loss weighting -> expected size of the step along the prompts' own gradients,
            sum_i w_i E[u_i], in logits; u as in ``cobasim.updates.group_update``.
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
        """Log of the smallest marginal gain that was bought; None without a value function.

        In an optimum no prompt below its upper bound has a larger gain left, ties aside.
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
    attempts_known: bool = True,
) -> list[Outcome]:
    """Let each allocator spend ``limits`` on the observed batch.

    Args:
        obs: m prompts.
        limits: total and bounds.
        allocators: names, or import paths.
        parameters: each allocator gets those that it takes.
        update: rule of the policy update, a name in ``cobasim.updates.UPDATES``.
        attempts_known: False: the observation's attempts mean nothing.

    Raises InputError for an infeasible total, an unknown name or a bad parameter, and for an
    allocator that weighs attempts if they are not known.
    """
    for name in allocators:
        check_evidence(name, find_allocator(name).needs, known=attempts_known)
    return [
        _outcome(
            name,
            make_allocator(name, **own_parameters(name, parameters or {})),
            obs,
            limits,
            update,
        )
        for name in allocators
    ]


def _outcome(
    name: str, allocator: Allocator, obs: Observation, limits: Limits, update: str
) -> Outcome:
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        budgets = allocator(obs, limits)
        times.append(time.perf_counter() - began)
    moves = expected_group_update(obs.pass_rate, budgets, update)
    spent = np.bincount(
        difficulty_class(obs.pass_rate), weights=budgets, minlength=len(DIFFICULTY_CLASSES)
    )
    return Outcome(
        allocator=name,
        budgets=budgets,
        value=allocator.value(obs) if isinstance(allocator, ValueAllocator) else None,
        shape=allocator.shape(obs),
        allocate_ms=1e3 * min(times),
        at_low=int(np.count_nonzero(budgets == limits.low)),
        at_high=int(np.count_nonzero(budgets == limits.high)),
        mixed=float(np.mean(mixed_chance(obs.pass_rate, budgets))),
        update={
            weighting: float(group_weights(budgets, weighting) @ moves)
            for weighting in ("rollout", "prompt")
        },
        class_share=spent / max(int(budgets.sum()), 1),
    )


def outcome_table(outcomes: Sequence[Outcome]) -> list[Mapping[str, object]]:
    """One flat row per allocator, to show as a table.

    sum, min, max: of the budgets, in rollouts; at low, at high: prompts at a bound; mixed: expected
    share of mixed groups; update: expected step in 10^-3 logits by loss weighting.
    """
    return [
        {
            "allocator": outcome.allocator,
            "sum": int(outcome.budgets.sum()),
            "min": int(outcome.budgets.min()),
            "max": int(outcome.budgets.max()),
            "at low": outcome.at_low,
            "at high": outcome.at_high,
            "mixed (%)": round(100 * outcome.mixed, 1),
            "update, rollout": round(1e3 * outcome.update["rollout"], 2),
            "update, prompt": round(1e3 * outcome.update["prompt"], 2),
            "alpha": "" if outcome.shape is None else f"{outcome.shape[0]:.2f}",
            "time (ms)": round(outcome.allocate_ms, 3),
        }
        for outcome in outcomes
    ]


def knows_attempts(bins: Mapping[str, Sequence[int]]) -> bool:
    """Whether a recorded step says how many attempts are behind its estimates."""
    return bins.get("attempts") is not None


def observation_of_bins(
    bins: Mapping[str, Sequence[int]], failure_rate: float | None
) -> Observation:
    """The batch of a recorded step, from its counts by pass-rate bin (``records.bin_counts``).

    Records keep counts, not prompts: each prompt gets the middle of its bin as its estimate, and
    the mean attempts of its bin; unseen ones get 0.5 without attempts. Where the attempts are not
    recorded (see ``knows_attempts``) each seen prompt gets one.
    """
    middles = np.array([0.0, *((low + 0.5) / 10 for low in range(10)), 1.0, 0.5])
    counts = np.asarray(bins["prompts"], dtype=np.int64)
    rates = np.repeat(middles, counts)
    behind = np.r_[np.ones(counts.size - 1), 0.0]
    if knows_attempts(bins):
        np.divide(bins["attempts"], counts, out=behind, where=counts > 0)
    attempts = np.repeat(behind, counts)
    return Observation(rates, attempts, failure_rate=failure_rate)
