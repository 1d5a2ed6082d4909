"""The map: in which worlds does an allocator beat uniform significantly?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from cobasim.experiments.studies.phase_map import Map, case
from cobasim.experiments.studies.vocabulary import (
    BOTH_WORLDS,
    Answer,
    Contrast,
    Options,
    Rows,
    Study,
    Sweep,
    Table,
    against,
    grouped,
    half_width,
    mean_interval,
    signed,
    sweep,
    with_differences,
)
from cobasim.loop import Loop
from cobasim.records import Run
from cobasim.scores import LEVEL, false_discovery

NOISES: dict[str, dict[str, float]] = {
    "usual": {"noise": 10.0, "prompt_noise": 0.0},
    "rollout": {"noise": 40.0, "prompt_noise": 0.0},
    "prompt": {"noise": 10.0, "prompt_noise": 20.0},
}
"""Kinds of noise. With 16 rollouts a prompt the last two are about equally strong; only that of
rollouts is averaged out by more rollouts of the same prompt."""

POPULATIONS = {
    "math": 0.30,
    "easy": 0.60,
    "hard": 0.10,
    "middling": 0.375,
}  # mean initial pass rates
AXES = ("population", "transfer", "noise kind", "pool / batch")
KEY = ("world", "weighting", *AXES)


def plan(options: Options) -> dict[str, Sweep]:
    """The grid; quick takes the ends of the axes in the logistic world only."""
    batch = options.size.batch
    worlds = options.pick(BOTH_WORLDS[:1], BOTH_WORLDS)
    transfers = options.pick((0.2, 0.8), (0.1, 0.5, 0.9))
    visits = (4, 24)
    populations = options.pick(("math", "middling"), tuple(POPULATIONS), ("math",))
    grid = [
        [{"population": name} for name in populations],
        [{"transfer": value} for value in transfers],
        list(NOISES.values()),
        [{"num_prompts": batch * many} for many in visits],
    ]
    return {
        "phase": sweep(
            options,
            options.names("uniform", "knapsack", "coba"),
            worlds,
            *grid,
            seeds=min(options.size.seeds, 6),
            steps=min(options.size.steps, 100),
        )
    }


def batch_of(run: Run, loop: Loop) -> dict[str, Any]:
    """The column ``batch``: prompts in a step."""
    return {"batch": loop.config.batch_size}


def placed(rows: Rows) -> list[dict[str, Any]]:
    """Rows with the axes of the map: the kind of noise, and batches to an epoch (pool / batch)."""
    kinds = {tuple(values.values()): name for name, values in NOISES.items()}
    return [
        {
            **row,
            "noise kind": kinds[row["noise"], row["prompt_noise"]],
            "pool / batch": row["num_prompts"] // row["batch"],
        }
        for row in with_differences(rows)
    ]


def cells(rows: Rows) -> list[Contrast]:
    """Every cell of the map against uniform; p-values by Benjamini-Hochberg over all cells."""
    contrasts = against(
        rows,
        "final_heldout",
        variant=lambda row: str(row["allocator"]),
        reference=lambda _: "uniform",
        within=KEY,
        correct=lambda p: p,
    )
    if not contrasts:
        return []
    adjusted = false_discovery([cell.p for cell in contrasts])
    return [replace(cell, p=float(p)) for cell, p in zip(contrasts, adjusted, strict=True)]


def answer(rows: Rows) -> Answer:
    """The map, its averages, and how often each allocator is above or below uniform."""
    on_map = placed(rows)
    contrasts = cells(on_map)
    groups: dict[tuple[str, ...], list[Contrast]] = {}
    for cell in contrasts:
        groups.setdefault(cell.group[:2], []).append(cell)
    maps = [Map(world, weighting, part) for (world, weighting), part in groups.items()]
    return Answer(
        _sentences(contrasts),
        [_averages(on_map), *(each.table() for each in maps)],
        [each.figure() for each in maps],
        [asdict(cell) for cell in contrasts],
    )


def _sentences(contrasts: Sequence[Contrast]) -> list[str]:
    """A sentence for each world, weighting and allocator."""
    groups: dict[tuple[str, ...], list[Contrast]] = {}
    for cell in contrasts:
        groups.setdefault((*cell.group[:2], cell.what), []).append(cell)
    lines = []
    for (world, weighting, name), part in groups.items():
        above, below = sum(cell.above for cell in part), sum(cell.below for cell in part)
        most = max(part, key=lambda cell: cell.mean)
        least = min(part, key=lambda cell: cell.mean)
        lines.append(
            f"{world} world, loss weighted per {weighting}: {name} is significantly above "
            f"uniform in {above} of {len(part)} cells, significantly below in {below}, and neither "
            f"in {len(part) - above - below} ({part[0].n} seeds, Benjamini-Hochberg at "
            f"{100 * LEVEL:g} % over {len(contrasts)} cells); at best {most.text} ({case(most)}); "
            f"at worst {least.text} ({case(least)}) points."
        )
    return lines


def _averages(rows: Rows) -> Table:
    """Mean difference at each value of each axis, all else pooled; intervals over seeds."""
    lines = []
    known = [row for row in rows if row["minus_uniform"] is not None]
    for key, own in grouped(known, "world", "weighting", "allocator").items():
        for axis in AXES:
            for (value,), part in grouped(own, axis).items():
                by_seed = grouped(part, "seed").values()
                mean = mean_interval(
                    [
                        float(np.mean([100 * row["minus_uniform"] for row in seed]))
                        for seed in by_seed
                    ]
                )
                lines.append((*key, axis, str(value), signed(mean.mean, half_width(mean))))
    return Table(
        "Difference to uniform by each axis, all else pooled (points; 95 % over seeds)",
        ("world", "loss per", "allocator", "axis", "value", "minus uniform"),
        lines,
    )


PHASE = Study(
    "phase",
    "Where does each allocator beat uniform: transfer, noise, staleness, weighting, pass rates?",
    answer,
    plan,
    measure=batch_of,
    notes=(
        "Find your own case on the map. Initial pass rates: math 0.30 on average, heavy at both "
        "ends; easy 0.60; hard 0.10; middling 0.375 with nothing at the ends. Transfer: how much "
        "of what a prompt teaches reaches the others. Noise: usual (10 per rollout), rollout (40 "
        "per rollout: more rollouts of the same prompt average it out), prompt (10 per rollout and "
        "20 per prompt, which they do not average out). Pool: batches in an epoch, which is how "
        "old the estimates are.",
    ),
)
