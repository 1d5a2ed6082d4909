"""The long tail: what is never learned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.experiments.studies.vocabulary import (
    Answer,
    Options,
    Rows,
    Study,
    Sweep,
    Table,
    compose,
    grouped,
    section,
    sweep,
)
from cobasim.loop import Loop
from cobasim.records import Run
from cobasim.scores import transition_counts, transition_shares
from cobasim.world import SimulatedPolicy

KEY = ("world", "weighting", "allocator")
CLASSES = [name.replace(" ", "_") for name in DIFFICULTY_CLASSES]


def tail(run: Run, loop: Loop) -> dict[str, Any]:
    """Columns by initial difficulty class: never mixed, and where the prompts ended.

    ``never_CLASS``: share of the visited prompts of the class that never had a mixed group.
    ``up_CLASS``, ``down_CLASS``: share of the class that ended in a higher or a lower one.
    ``to_CLASS``: five shares by last class. None where a class has no prompts.
    """
    assert isinstance(loop.learner, SimulatedPolicy)
    first = loop.learner.first_class
    counts = transition_counts(run)
    assert counts is not None
    shares = transition_shares(counts)
    columns: dict[str, Any] = {}
    for k, name in enumerate(CLASSES):
        visited = loop.account.coverage.visited & (first == k)
        number = int(np.count_nonzero(visited))
        mixed = int(np.count_nonzero(loop.account.coverage.ever_mixed & visited))
        known = bool(np.isfinite(shares[k]).all())
        columns[f"never_{name}"] = 1.0 - mixed / number if number else None
        columns[f"up_{name}"] = float(shares[k, k + 1 :].sum()) if known else None
        columns[f"down_{name}"] = float(shares[k, :k].sum()) if known else None
        columns[f"to_{name}"] = shares[k].tolist() if known else None
    return columns


def plan(options: Options) -> dict[str, Sweep]:
    """A smaller pool, so that every prompt is visited often."""
    names = options.names(
        "uniform", "knapsack", "fixed-explore", "coba", "coba-explore-first", "coba-released",
        "oracle-coba",
    )  # fmt: skip
    pool = max(options.size.pool // 4, 2 * options.size.batch)
    return {"tail": sweep(options, names, settings={"num_prompts": pool})}


SUBJECTS = {
    "up_extremely_hard": "extremely hard prompts that ended in a higher class",
    "up_hard": "hard prompts that ended in a higher class",
    "never_extremely_hard": "extremely hard prompts that never had a mixed group",
    "never_hard": "hard prompts that never had a mixed group",
    "down_medium": "medium prompts that ended in a lower class",
}


def answer(rows: Rows) -> Answer:
    """Never mixed, and left behind, by initial class, against uniform."""
    result = compose(
        [
            section(
                f"share of {subject}, against uniform",
                rows,
                metric,
                variant=lambda row: str(row["allocator"]),
                reference=lambda _: "uniform",
            )
            for metric, subject in SUBJECTS.items()
        ]
    )
    return replace(result, tables=[_never(rows), _ends(rows), *result.tables])


def _mean(values: list[Any]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * float(np.mean(known)):.1f}" if known else "-"


def _never(rows: Rows) -> Table:
    return Table(
        "Visited prompts that never had a mixed group (%), by initial class; means over seeds",
        ("world", "loss per", "allocator", *DIFFICULTY_CLASSES),
        [
            (*key, *(_mean([row[f"never_{name}"] for row in group]) for name in CLASSES))
            for key, group in grouped(rows, *KEY).items()
        ],
    )


def _ends(rows: Rows) -> Table:
    """Transition matrices, one row per initial class."""
    cells = []
    for key, group in grouped(rows, *KEY).items():
        for name, text in zip(CLASSES, DIFFICULTY_CLASSES, strict=True):
            ends = [row[f"to_{name}"] for row in group if row[f"to_{name}"] is not None]
            shown = [_mean([end[k] for end in ends]) for k in range(len(CLASSES))]
            cells.append((*key, text, *shown))
    return Table(
        "Where prompts ended (%), by initial class; means over seeds",
        ("world", "loss per", "allocator", "initial class", *DIFFICULTY_CLASSES),
        cells,
    )


LONG_TAIL = Study(
    "long-tail",
    "Which prompts are never learned, under each allocator?",
    answer,
    plan,
    measure=tail,
    notes=(
        "Classes are those of Figure 7 of arXiv 2602.03048 on true pass rates (nearest "
        "sixteenth); the pool is a quarter of the usual one, so every prompt comes up often.",
    ),
)
