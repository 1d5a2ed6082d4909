"""Mixes of tasks that are not stationary."""

from __future__ import annotations

import json
from typing import Any

from cobasim.experiments.studies.vocabulary import (
    Answer,
    Options,
    Row,
    Rows,
    Study,
    Sweep,
    axis,
    compose,
    name_of,
    section,
    sweep,
    with_differences,
)

Schedule = list[dict[str, Any]]
CLUSTERS = 8  # the default of the worlds; cluster 0 is the hardest


def schedules(steps: int) -> dict[str, Schedule]:
    """Named schedules over the clusters: none, easy first, hard first, alternating halves."""
    hard = [2.0 ** -(k // 2) for k in range(CLUSTERS)]  # cluster 0 weighs 8 times cluster 7
    easy = hard[::-1]
    stages = 4

    def moving(first: list[float], last: list[float]) -> Schedule:
        return [
            {
                "step": stage * steps // stages,
                "weights": [
                    a + (b - a) * stage / (stages - 1) for a, b in zip(first, last, strict=True)
                ],
            }
            for stage in range(stages)
        ]

    block = max(steps // 12, 1)
    halves = [[1.0] * 4 + [0.0] * 4, [0.0] * 4 + [1.0] * 4]
    alternating = [
        {"step": start, "weights": halves[number % 2]}
        for number, start in enumerate(range(0, steps, block))
    ]
    return {
        "stationary": [{"step": 0, "weights": [1.0] * CLUSTERS}],
        "easy to hard": moving(easy, hard),
        "hard to easy": moving(hard, easy),
        "alternating": alternating,
    }


def plan(options: Options) -> dict[str, Sweep]:
    """Every schedule, over the same allocators."""
    mixes = axis("mix", schedules(options.size.steps).values())
    names = options.names("uniform", "knapsack", "coba", "linear-decay", "oracle-coba")
    return {"mix": sweep(options, names, mixes)}


def answer(rows: Rows) -> Answer:
    """Against uniform in the same mix, and whether a mix changes that difference."""
    steps = max(row["steps"] for row in rows)
    names = {json.dumps(mix): name for name, mix in schedules(steps).items()}

    def in_mix(allocator: str, row: Row) -> str:
        return name_of(allocator, names[row["mix"]])

    return compose(
        [
            section(
                "held-out accuracy against uniform in the same mix",
                rows,
                variant=lambda row: in_mix(row["allocator"], row),
                reference=lambda row: in_mix("uniform", row),
            ),
            section(
                "the held-out difference to uniform, against the one in the stationary mix",
                with_differences(rows),
                "minus_uniform",
                variant=lambda row: in_mix(row["allocator"], row),
                reference=lambda row: name_of(row["allocator"], "stationary"),
            ),
        ]
    )


MIX = Study(
    "mix",
    "Do non-stationary mixes of tasks change who does better?",
    answer,
    plan,
    notes=(
        "Mixes are weights of the eight clusters; cluster 0 holds the hardest prompts. Easy to "
        "hard moves the weights from 8 : 1 for the easy to 8 : 1 for the hard in four stages; "
        "alternating draws the hard and the easy half in turn, in twelve blocks.",
    ),
)
