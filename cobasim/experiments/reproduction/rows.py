"""What the reproduction stores of each run, and how it is read back.

A run is one row of the sweep: its scores, and its records thinned to a dozen (``details``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cobasim.loop import Loop
from cobasim.records import Run, RunHeader, StepRecord

BLOCKS = 12
"""Records that a run is thinned to."""

Row = Mapping[str, Any]
Combination = tuple[str, str]
"""(world, loss weighting)"""


def details(run: Run, loop: Loop) -> dict[str, Any]:
    """The run's thinned records as one text column of its row (a ``Measure`` of the sweep)."""
    kept = [
        {name: value for name, value in vars(step).items() if value not in (None, {})}
        for step in thin(run.steps)
    ]
    return {"thinned": json.dumps(kept, separators=(",", ":"))}


def thin(steps: Sequence[StepRecord], blocks: int = BLOCKS) -> list[StepRecord]:
    """At most ``blocks`` records, each of which stands for a block of consecutive updates.

    Kept of a block: the last step and its rollouts, mean alpha and beta, the largest budget, the
    counts by pass-rate bin summed, the last evaluation.
    """
    updates = [step for step in steps if step.step > 0]
    places = np.array_split(np.arange(len(updates)), min(blocks, len(updates)))
    return [_merged([updates[place] for place in block]) for block in places]


def _merged(block: Sequence[StepRecord]) -> StepRecord:
    counted = [step.bins for step in block if step.bins is not None]
    evaluated = [step.evaluation for step in block if step.evaluation is not None]
    return StepRecord(
        step=block[-1].step,
        rollouts=block[-1].rollouts,
        alpha=_mean([step.alpha for step in block]),
        beta=_mean([step.beta for step in block]),
        budget_max=max((step.budget_max or 0 for step in block), default=0),
        bins={
            name: np.sum([bins[name] for bins in counted], axis=0).tolist() for name in counted[0]
        }
        if counted
        else None,
        evaluation=evaluated[-1] if evaluated else None,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


@dataclass(frozen=True)
class SimulatedRuns:
    """All runs in one world under one loss weighting."""

    rows: dict[tuple[str, str], dict[int, Row]]
    """(arm, allocator) -> seed -> row."""

    def accuracy(self, arm: str, allocator: str, column: str = "final_heldout") -> dict[int, float]:
        """Accuracy in % by seed."""
        rows = self.rows[arm, allocator]
        return {seed: 100 * row[column] for seed, row in sorted(rows.items())}

    def records(self, arm: str, allocator: str) -> list[Run]:
        """The thinned runs, one per seed."""
        runs = []
        for seed, row in sorted(self.rows[arm, allocator].items()):
            header = RunHeader(
                source="sim", created="", versions={}, seed=seed, allocator=allocator,
                estimator="", weighting=row["weighting"], world=row["world"],
            )  # fmt: skip
            steps = [StepRecord.from_dict(step) for step in json.loads(row["thinned"])]
            runs.append(Run(header, tuple(steps), Path()))
        return runs


def by_combination(
    rows: Iterable[Row], keys: Sequence[tuple[str, str]]
) -> dict[Combination, SimulatedRuns]:
    """Rows of the sweep, grouped by world and weighting.

    Args:
        rows: with the columns of ``execute_row``, ``point`` and ``thinned``.
        keys: (world, arm) of each point, from ``sweep_of``.
    """
    grouped: dict[Combination, SimulatedRuns] = {}
    for row in rows:
        world, arm = keys[row["point"]]
        runs = grouped.setdefault((world, row["weighting"]), SimulatedRuns({}))
        runs.rows.setdefault((arm, row["allocator"]), {})[row["seed"]] = row
    return grouped
