"""A world that changes: a new hard regime, and mixes of tasks that are not stationary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim.experiments.studies.skeleton import (
    Answer,
    Options,
    Section,
    Study,
    against,
    axis,
    compose,
    curves,
    levels,
    name_of,
    sweep,
)
from cobasim.figures import colour_of, label, lay_out
from cobasim.runs.sweep import Sweep
from cobasim.scores import Rows, is_oracle, with_differences

Row = Mapping[str, Any]
RIVALS = ("uniform", "knapsack", "coba", "coba-explore-first", "linear-decay", "oracle-coba")

# --- regime ----------------------------------------------------------------------------------


def plan_regime(options: Options) -> dict[str, Sweep]:
    """Half way, a share of all prompts is replaced by a new, hard cluster."""
    half = options.size.steps // 2
    settings = {"regime_step": half, "eval_every": max(half // 12, 1)}
    shares = axis("regime_share", options.pick((0.3,), (0.1, 0.3)))
    return {"regime": sweep(options, options.names(*RIVALS), shares, settings=settings)}


def _since(row: Row, name: str) -> tuple[list[int], list[float]]:
    """Evaluations of a part from the change on."""
    pairs = [(at, one) for at, one in zip(row["at"], row[f"curve_{name}"], strict=True)
             if one is not None]  # fmt: skip
    return [at for at, _ in pairs], [one for _, one in pairs]


def adapted(rows: Rows) -> list[dict[str, Any]]:
    """Rows with what happened after the change.

    ``new_gain`` and ``old_gain``: accuracy at the end minus at the change, in the new and in the
    old part. ``adapt_steps``: steps until the new part has gained half of what uniform gains there
    by the end of the run of the same seed; the run's remaining steps if it never does.
    """
    keys = ("world", "weighting", "regime_share", "seed")
    found, goals = [], {}
    for row in rows:
        _, new = _since(row, "new")
        _, old = _since(row, "old")
        if row["allocator"] == "uniform":
            goals[tuple(row[key] for key in keys)] = (new[-1] - new[0]) / 2
        found.append({**row, "new_gain": new[-1] - new[0], "old_gain": old[-1] - old[0]})
    for row in found:
        at, new = _since(row, "new")
        goal = new[0] + goals[tuple(row[key] for key in keys)]
        row["adapt_steps"] = float(first_crossing(at, new, goal) - at[0])
        row["has_adapted"] = bool(max(new) >= goal)
    return found


def first_crossing(at: Sequence[int], values: Sequence[float], goal: float) -> float:
    """Where values first reach the goal, linear between evaluations; the last place if never."""
    above = np.flatnonzero(np.asarray(values) >= goal)
    if not above.size:
        return float(at[-1])
    k = int(above[0])
    if k == 0:
        return float(at[0])
    share = (goal - values[k - 1]) / (values[k] - values[k - 1])
    return float(at[k - 1] + share * (at[k] - at[k - 1]))


def answer_regime(rows: Rows) -> Answer:
    """Adaptation and forgetting, against uniform."""
    mine = adapted(rows)

    several = len({row["regime_share"] for row in mine}) > 1

    def share(row: Row) -> str | None:
        return f"share {row['regime_share']:g}" if several else None

    def variant(row: Row) -> str:
        return name_of(row["allocator"], share(row))

    def reference(row: Row) -> str:
        return name_of("uniform", share(row))

    sections = [
        Section(subject, against(mine, metric, variant=variant, reference=reference, scale=scale),
                unit)
        for subject, metric, scale, unit in (
            ("steps until the new part has gained half of uniform's gain, against uniform",
             "adapt_steps", 1.0, "steps"),
            ("gain of the new part since the change, against uniform", "new_gain", 100.0,
             "points"),
            ("change of the old part since the change, against uniform", "old_gain", 100.0,
             "points"),
        )
    ]  # fmt: skip
    own = [
        levels(mine, "adapt_steps", "Steps until the new part has gained half of uniform's gain",
               variant=variant, scale=1.0),
        levels(mine, "old_gain", "Points that the old part gained since the change",
               variant=variant),
        _forgetting(mine),
    ]  # fmt: skip
    result = compose(sections, figures=[_after_change(mine, name) for name in ("new", "old")])
    return Answer(
        [result.conclusion[0], *own, *result.conclusion[1:]],
        result.tables,
        result.figures,
        result.numbers,
    )


def _forgetting(rows: Rows) -> str:
    """How often the old part got worse, and how often the new one was never learned."""
    names = list(dict.fromkeys(row["allocator"] for row in rows))
    parts = []
    for name in names:
        mine = [row for row in rows if row["allocator"] == name]
        lost = sum(row["old_gain"] < 0 for row in mine)
        never = sum(not row["has_adapted"] for row in mine)
        parts.append(f"{name} {lost} and {never} of {len(mine)}")
    return (
        "Runs in which the old part ended below its level at the change, and runs that did not "
        "adapt before their end (counted as their remaining steps): " + "; ".join(parts) + "."
    )


def _after_change(rows: Rows, name: str) -> go.Figure:
    """Mean accuracy of a part from the change on, a panel per world and weighting."""
    groups = list(dict.fromkeys((row["world"], row["weighting"]) for row in rows))
    figure = make_subplots(
        -(-len(groups) // 2), 2, subplot_titles=[label(", per ".join(one)) for one in groups],
        vertical_spacing=0.15,
    )  # fmt: skip
    for place, group in enumerate(groups):
        mine = [row for row in rows if (row["world"], row["weighting"]) == group]
        for allocator in dict.fromkeys(row["allocator"] for row in mine):
            runs = [_since(row, name) for row in mine if row["allocator"] == allocator]
            mean = 100 * np.mean([values for _, values in runs], axis=0)
            figure.add_trace(
                go.Scatter(
                    x=runs[0][0], y=mean, name=label(allocator), legendgroup=allocator,
                    showlegend=place == 0, mode="lines", line={
                        "color": colour_of(allocator),
                        "dash": "dash" if is_oracle(allocator) else "solid",
                    },
                ),
                row=place // 2 + 1, col=place % 2 + 1,
            )  # fmt: skip
    return lay_out(figure, f"Accuracy of the {name} part since the change (%)", height=560)


REGIME = Study(
    "regime",
    "A hard subtask appears in the middle of training: who adapts, and who forgets?",
    answer_regime,
    plan_regime,
    measure=curves,
    notes=(
        "Half way, a share of the pool and of the held-out prompts is replaced by a new, hard "
        "cluster. The estimates of the replaced prompts are then wrong until their next visit.",
    ),
)

# --- mixes -----------------------------------------------------------------------------------

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


def plan_mix(options: Options) -> dict[str, Sweep]:
    """Every schedule, over the same allocators."""
    mixes = axis("mix", schedules(options.size.steps).values())
    names = options.names("uniform", "knapsack", "coba", "linear-decay", "oracle-coba")
    return {"mix": sweep(options, names, mixes)}


def answer_mix(rows: Rows) -> Answer:
    """Against uniform in the same mix, and whether a mix changes that difference."""
    steps = max(row["steps"] for row in rows)
    names = {json.dumps(mix): name for name, mix in schedules(steps).items()}

    def in_mix(allocator: str, row: Row) -> str:
        return name_of(allocator, names[row["mix"]])

    to_uniform = against(
        rows,
        "final_heldout",
        variant=lambda row: in_mix(row["allocator"], row),
        reference=lambda row: in_mix("uniform", row),
    )
    changed = against(
        with_differences(rows),
        "minus_uniform",
        variant=lambda row: in_mix(row["allocator"], row),
        reference=lambda row: name_of(row["allocator"], "stationary"),
    )
    return compose(
        [
            Section("held-out accuracy against uniform in the same mix", to_uniform),
            Section(
                "the held-out difference to uniform, against the one in the stationary mix", changed
            ),
        ]
    )


MIX = Study(
    "mix",
    "Do non-stationary mixes of tasks change who does better?",
    answer_mix,
    plan_mix,
    notes=(
        "Mixes are weights of the eight clusters; cluster 0 holds the hardest prompts. Easy to "
        "hard moves the weights from 8 : 1 for the easy to 8 : 1 for the hard in four stages; "
        "alternating draws the hard and the easy half in turn, in twelve blocks.",
    ),
)
