"""What is never learned, and whether the form of the update matters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.experiments.studies.skeleton import (
    Answer,
    Options,
    Section,
    Study,
    Table,
    against,
    axis,
    compose,
    name_of,
    sweep,
)
from cobasim.loop import Loop
from cobasim.records import Run
from cobasim.runs.sweep import Sweep
from cobasim.scores import Rows, transition_counts, transition_shares, with_differences
from cobasim.world import SimulatedPolicy

Row = Mapping[str, Any]
CLASSES = [name.replace(" ", "_") for name in DIFFICULTY_CLASSES]

# --- the long tail ---------------------------------------------------------------------------


def tail(run: Run, loop: Loop) -> dict[str, Any]:
    """Columns by first difficulty class: never mixed, and where the prompts ended.

    ``never_CLASS``: share of the visited prompts of the class that never had a mixed group.
    ``up_CLASS``, ``down_CLASS``: share of the class that ended in a higher or a lower one.
    ``to_CLASS``: five shares by last class. None where a class has no prompts.
    """
    assert isinstance(loop.learner, SimulatedPolicy)
    first = loop.learner.first_class
    counts = transition_counts(run)
    assert counts is not None
    shares = transition_shares(counts)
    found: dict[str, Any] = {}
    for k, name in enumerate(CLASSES):
        visited = loop.coverage.visited & (first == k)
        number = int(np.count_nonzero(visited))
        mixed = int(np.count_nonzero(loop.coverage.ever_mixed & visited))
        known = bool(np.isfinite(shares[k]).all())
        found[f"never_{name}"] = 1.0 - mixed / number if number else None
        found[f"up_{name}"] = float(shares[k, k + 1 :].sum()) if known else None
        found[f"down_{name}"] = float(shares[k, :k].sum()) if known else None
        found[f"to_{name}"] = shares[k].tolist() if known else None
    return found


def plan_tail(options: Options) -> dict[str, Sweep]:
    """A smaller pool, so that every prompt is visited often."""
    names = options.names(
        "uniform", "knapsack", "fixed-explore", "coba", "coba-explore-first", "coba-released",
        "oracle-coba",
    )  # fmt: skip
    pool = max(options.size.pool // 4, 2 * options.size.batch)
    return {"tail": sweep(options, names, settings={"num_prompts": pool})}


def answer_tail(rows: Rows) -> Answer:
    """Never mixed, and left behind, by first class, against uniform."""

    def section(subject: str, metric: str) -> Section:
        found = against(
            rows,
            metric,
            variant=lambda row: str(row["allocator"]),
            reference=lambda _: "uniform",
        )
        return Section(subject, found)

    parts = [
        section("share of extremely hard prompts that ended in a higher class, against uniform",
                "up_extremely_hard"),
        section("share of hard prompts that ended in a higher class, against uniform", "up_hard"),
        section("share of extremely hard prompts that never had a mixed group, against uniform",
                "never_extremely_hard"),
        section("share of hard prompts that never had a mixed group, against uniform",
                "never_hard"),
        section("share of medium prompts that ended in a lower class, against uniform",
                "down_medium"),
    ]  # fmt: skip
    result = compose(parts)
    return Answer(
        result.conclusion, [_never(rows), _ends(rows), *result.tables], result.figures,
        result.numbers,
    )  # fmt: skip


def _groups(rows: Rows) -> dict[tuple[str, str, str], list[Row]]:
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["world"], row["weighting"], row["allocator"]), []).append(row)
    return found


def _mean(values: list[Any]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * float(np.mean(known)):.1f}" if known else "-"


def _never(rows: Rows) -> Table:
    return Table(
        "Visited prompts that never had a mixed group (%), by first class; means over seeds",
        ("world", "loss per", "allocator", *DIFFICULTY_CLASSES),
        [
            (*key, *(_mean([row[f"never_{name}"] for row in mine]) for name in CLASSES))
            for key, mine in _groups(rows).items()
        ],
    )


def _ends(rows: Rows) -> Table:
    """Transition matrices, one row per first class."""
    cells = []
    for key, mine in _groups(rows).items():
        for name, text in zip(CLASSES, DIFFICULTY_CLASSES, strict=True):
            ends = [row[f"to_{name}"] for row in mine if row[f"to_{name}"] is not None]
            shown = [_mean([end[k] for end in ends]) for k in range(len(CLASSES))]
            cells.append((*key, text, *shown))
    return Table(
        "Where prompts ended (%), by first class; means over seeds",
        ("world", "loss per", "allocator", "first class", *DIFFICULTY_CLASSES),
        cells,
    )


LONG_TAIL = Study(
    "long-tail",
    "Which prompts are never learned, under each allocator?",
    answer_tail,
    plan_tail,
    measure=tail,
    notes=(
        "Classes are those of Figure 7 of arXiv 2602.03048 on true pass rates (nearest "
        "sixteenth); the pool is a quarter of the usual one, so that every prompt comes up often.",
    ),
)

# --- updates ---------------------------------------------------------------------------------

UPDATES_ = ("grpo", "dr-grpo", "rloo")


def plan_updates(options: Options) -> dict[str, Sweep]:
    """The same allocators under each update."""
    names = options.names("uniform", "knapsack", "coba", "oracle-coba")
    return {"updates": sweep(options, names, axis("update", UPDATES_))}


def answer_updates(rows: Rows) -> Answer:
    """Against uniform under the same update, and whether the update changes that."""
    to_uniform = against(
        rows,
        "final_heldout",
        variant=lambda row: name_of(row["allocator"], row["update"]),
        reference=lambda row: name_of("uniform", row["update"]),
    )
    changed = against(
        with_differences(rows),
        "minus_uniform",
        variant=lambda row: name_of(row["allocator"], row["update"]),
        reference=lambda row: name_of(row["allocator"], "grpo"),
    )
    return compose(
        [
            Section("held-out accuracy against uniform under the same update", to_uniform),
            Section("the held-out difference to uniform, against the one under std-normalised GRPO",
                    changed),
        ]
    )  # fmt: skip


UPDATES = Study(
    "updates",
    "Does the order of allocators depend on the update (std-normalised GRPO, Dr.GRPO, RLOO)?",
    answer_updates,
    plan_updates,
    notes=(
        "The world takes one exact score step per batch, on the policy that sampled it: the ratio "
        "is 1, so clipping it (clip-higher, GSPO's sequence ratio) changes nothing and is not "
        "among the updates.",
    ),
)
