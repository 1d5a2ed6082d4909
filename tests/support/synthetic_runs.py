"""Made-up runs for the tests of records, scores, figures and the report: seeded random walks."""

from __future__ import annotations

import json

import numpy as np

from cobasim.records import Run, RunHeader, RunWriter, StepRecord, bin_counts, read_run

CLASSES = 5
COLUMNS = [f"c{i}" for i in range(CLASSES)]


def header(allocator="uniform", seed=0, weighting="rollout", **more) -> RunHeader:
    return RunHeader.create(
        source="sim",
        seed=seed,
        allocator=allocator,
        estimator="last",
        weighting=weighting,
        world="logistic",
        **more,
    )


def steps_of(allocator, seed, steps, gain=0.1, noise=0.004, every=10, batch=64):
    """A walk from 0.3 to about 0.3 + gain; the seed's own part is shared by all allocators."""
    shared = np.random.default_rng([seed, 1])
    own = np.random.default_rng([seed, 2, *allocator.encode()])
    start = 0.3 + 0.01 * shared.normal()
    rows = own.integers(0, 40, (CLASSES, CLASSES)) + 60 * np.eye(CLASSES, dtype=int)
    offset = 0.0
    for step in range(steps + 1):
        progress = step / steps
        offset += noise * own.normal() / steps**0.5
        level = start + gain * progress**0.7 + offset
        evaluation = None
        if step % every == 0 or step == steps:
            evaluation = {
                "heldout": level,
                "hard": level / 3,
                "pool": level,
                "transitions": rows.tolist(),
            }
        if step == 0:
            yield StepRecord(0, 0, evaluation=evaluation)
            continue
        estimate = own.integers(0, 17, batch) / 16
        seen = own.random(batch) < min(1.0, 3 * progress)
        taste = np.ones(batch)
        if allocator != "uniform":
            taste = 0.2 + np.exp(-(((estimate - 0.8 + 0.5 * progress) / 0.2) ** 2))
        budgets = np.maximum(2, (16 * batch * taste / taste.sum()).astype(int))
        mixed = own.random(batch) < 0.4 + 0.2 * progress
        fixed = allocator in ("uniform", "knapsack")
        yield StepRecord(
            step,
            step * batch * 16,
            prompts=batch,
            alpha=None if fixed else 8.0 - 5 * progress + 0.2 * own.normal(),
            beta=None if fixed else 3.0 + 5 * progress,
            failure_rate=1 - level,
            smoothed_failure_rate=1 - level,
            mixed_share=float(mixed.mean()),
            budget_min=int(budgets.min()),
            budget_max=int(budgets.max()),
            budget_gini=0.0 if allocator == "uniform" else 0.4,
            bins=bin_counts(estimate, seen, budgets, mixed),
            never_mixed=0.5 - 0.2 * progress,
            allocate_ms=0.2,
            learner={"grad_norm": float(own.random())},
            evaluation=evaluation,
        )


def write_run(path, allocator="uniform", seed=0, weighting="rollout", steps=40, **walk) -> Run:
    with RunWriter(path, header(allocator, seed, weighting)) as writer:
        for record in steps_of(allocator, seed, steps, **walk):
            writer.append(record)
    return read_run(path)


def write_runs(folder, gains, seeds=4, weightings=("rollout", "prompt"), **walk) -> list[Run]:
    """Write runs for every allocator in ``gains`` (name -> gain), seed and weighting."""
    return [
        write_run(
            folder / weighting / f"{allocator}-{seed}",
            allocator,
            seed,
            weighting,
            gain=gain,
            **walk,
        )
        for weighting in weightings
        for allocator, gain in gains.items()
        for seed in range(seeds)
    ]


def curve_run(tmp_path, points, allocator="uniform", seed=0, **head) -> Run:
    """A run in memory whose held-out accuracy passes through (rollouts, accuracy) points."""
    records = tuple(
        StepRecord(step, rollouts, evaluation={"heldout": accuracy})
        for step, (rollouts, accuracy) in enumerate(points)
    )
    return Run(header(allocator, seed, **head), records, tmp_path)


def strict_json(text: str) -> object:
    """What a strict reader makes of a line: NaN and infinity are no JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)
