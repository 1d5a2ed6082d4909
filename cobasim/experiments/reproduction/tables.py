"""The paper's tables and figures in the simulation, to compare with the paper's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from cobasim.allocation import beta_shape
from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.experiments.reproduction import agreement, paper
from cobasim.experiments.reproduction.agreement import Values
from cobasim.experiments.reproduction.paper import COBA, GRPO, REFERENCE, Case, Result
from cobasim.experiments.reproduction.plan import HALF_ARM
from cobasim.experiments.reproduction.rows import SimulatedRuns
from cobasim.records import PASS_RATE_BINS, Run, StepRecord
from cobasim.scores import mean_interval, transition_counts, transition_shares


def stages(run: Run) -> list[StepRecord]:
    """Thinned records of the early (first epoch over), middle and late run."""

    def mostly_seen(step: StepRecord) -> bool:
        return step.bins is not None and 2 * step.bins["prompts"][-1] < sum(step.bins["prompts"])

    last = len(run.steps) - 1
    first = next((i for i, step in enumerate(run.steps) if mostly_seen(step)), 0)
    return [run.steps[i] for i in (first, (first + last) // 2, last)]


def peak(step: StepRecord) -> tuple[float, float] | None:
    """The pass-rate bin with the largest mean budget: (its middle in %, that budget).

    None if no prompt of the step was seen before.
    """
    if step.bins is None:
        return None
    prompts, rollouts = (np.array(step.bins[name][:-1]) for name in ("prompts", "rollouts"))
    mean = np.where(prompts > 0, rollouts / np.maximum(prompts, 1), 0.0)
    if not mean.any():
        return None
    middles = np.array([0.0, *(10.0 * k + 5.0 for k in range(len(PASS_RATE_BINS) - 3)), 100.0])
    best = int(mean.argmax())
    return float(middles[best]), float(mean[best])


def simulated_values(result: Result, runs: SimulatedRuns) -> Values:
    """The simulated {case: {seed: number}} of a table or figure, for cases that have numbers."""
    values: dict[Case, dict[int, float]] = {}
    for case in result.numbers:
        by_seed = _by_seed(result.key, case, runs)
        known = {seed: value for seed, value in by_seed.items() if value is not None}
        if known:
            values[case] = known
    return values


def _by_seed(key: str, case: Case, runs: SimulatedRuns) -> Mapping[int, float | None]:
    group, entry = case
    if key in ("figure-4", "figure-5"):
        place = paper.STAGES.index(entry)
        number = _peak_rate if key == "figure-4" else _alpha
        return {
            run.header.seed: number(stages(run)[place]) for run in runs.records(REFERENCE, group)
        }
    if key == "figure-7":
        return {
            run.header.seed: _share_ending_easy(run, group)
            for run in runs.records(REFERENCE, entry)
        }
    return dict(runs.accuracy(*_arm_and_allocator(key, case)))


def _arm_and_allocator(key: str, case: Case) -> tuple[str, str]:
    """The runs behind a case whose number is an accuracy."""
    group, entry = case
    if key == "table-1":
        return group, entry
    if key == "figure-6" and group == paper.HALF:
        return HALF_ARM, entry
    if key == "figure-8" and entry != GRPO:
        return (REFERENCE if entry == "kappa 11" else entry), COBA
    return REFERENCE, entry


def _peak_rate(step: StepRecord) -> float | None:
    largest = peak(step)
    return None if largest is None else largest[0]


def _alpha(step: StepRecord) -> float | None:
    return step.alpha


def _share_ending_easy(run: Run, difficulty: str) -> float | None:
    counts = transition_counts(run)
    if counts is None:
        return None
    share = float(transition_shares(counts)[DIFFICULTY_CLASSES.index(difficulty), -1])
    return None if np.isnan(share) else 100 * share


def measured(result: Result, values: Values) -> Result:
    """The result without groups for which the simulation lacks a number (an empty class)."""
    kept = {
        group
        for group, entries in result.groups.items()
        if all((group, entry) in values for entry in entries)
    }
    return replace(
        result,
        numbers={case: value for case, value in result.numbers.items() if case[0] in kept},
        claims=tuple(c for c in result.claims if c.left[0] in kept and c.right[0] in kept),
    )


def centred(values: Values, across: bool) -> Values:
    """Values minus the mean of their group (``across``: of all cases) in the same seed.

    Seeds differ in their prompts far more than allocators differ within a seed.
    """
    centred_values: dict[Case, dict[int, float]] = {}
    for case, by_seed in values.items():
        peers = [other for key, other in values.items() if across or key[0] == case[0]]
        centred_values[case] = {
            seed: value - float(np.mean([other[seed] for other in peers if seed in other]))
            for seed, value in by_seed.items()
        }
    return centred_values


def beside(result: Result, runs: SimulatedRuns) -> dict[str, Any]:
    """One table or figure in one world under one weighting: cells, order and claims."""
    values = simulated_values(result, runs)
    known = measured(result, values)
    judged = agreement.judge(known, values)
    middle = centred(values, across=result.across)
    return {
        "cells": [
            {
                "group": case[0],
                "entry": case[1],
                **asdict(mean_interval(list(by_seed.values()))),
                "centred": asdict(mean_interval(list(middle[case].values()))),
            }
            for case, by_seed in values.items()
        ],
        "order": agreement.order_agreement(known, values) if known.numbers else None,
        "claims": [asdict(claim) for claim in judged],
        "counts": agreement.counts(judged),
    }


def published(result: Result) -> list[dict[str, Any]]:
    """The paper's numbers of a table or figure, as they are and centred like the simulation's."""
    middle = centred({case: {0: value} for case, value in result.numbers.items()}, result.across)
    return [
        {"group": case[0], "entry": case[1], "value": value, "centred": middle[case][0]}
        for case, value in result.numbers.items()
    ]


def largest_budget(runs: SimulatedRuns) -> dict[str, Any]:
    """Largest budget of a prompt in a reference run of CoBA: mean and interval over seeds."""
    return asdict(
        mean_interval(
            [
                max(step.budget_max or 0 for step in run.steps)
                for run in runs.records(REFERENCE, COBA)
            ]
        )
    )


def alphas() -> list[dict[str, float]]:
    """Alpha by Equations 6 and 7 at the failure rates of Figure 4's panels, and the paper's."""
    reported = paper.RESULTS["figure-5"].numbers
    return [
        {
            "failure rate": rate,
            "paper": reported[COBA, stage],
            "formula": beta_shape(rate, kappa=11.0)[0],
        }
        for stage, rate in paper.FAILURE_RATES.items()
    ]
