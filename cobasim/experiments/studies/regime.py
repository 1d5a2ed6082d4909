"""A world that changes: halfway, a share of the prompts is replaced by a new, hard cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim.experiments.studies.vocabulary import (
    Answer,
    Options,
    Row,
    Rows,
    Study,
    Sweep,
    axis,
    colour_of,
    compose,
    grouped,
    label,
    lay_out,
    levels,
    name_of,
    section,
    sweep,
)
from cobasim.loop import Loop
from cobasim.records import Run
from cobasim.scores import is_oracle

RIVALS = ("uniform", "knapsack", "coba", "coba-explore-first", "linear-decay", "oracle-coba")


def plan(options: Options) -> dict[str, Sweep]:
    """Halfway, a share of all prompts is replaced by a new, hard cluster."""
    half = options.size.steps // 2
    settings = {"regime_step": half, "eval_every": max(half // 12, 1)}
    shares = axis("regime_share", options.pick((0.3,), (0.1, 0.3)))
    return {"regime": sweep(options, options.names(*RIVALS), shares, settings=settings)}


def curves(run: Run, loop: Loop) -> dict[str, Any]:
    """Columns ``at`` (steps) and ``curve_NAME``: every accuracy at every evaluation."""
    evaluated = [(step.step, step.evaluation) for step in run.steps if step.evaluation is not None]
    names = dict.fromkeys(
        name
        for _, scores in evaluated
        for name, value in scores.items()
        if isinstance(value, float)
    )
    return {"at": [step for step, _ in evaluated]} | {
        f"curve_{name}": [scores.get(name) for _, scores in evaluated] for name in names
    }


def _since(row: Row, name: str) -> tuple[list[int], list[float]]:
    """Evaluations of a part from the change on: steps, and accuracies."""
    steps, accuracies = row["at"], row[f"curve_{name}"]
    known = [(at, value) for at, value in zip(steps, accuracies, strict=True) if value is not None]
    return [at for at, _ in known], [value for _, value in known]


def adapted(rows: Rows) -> list[dict[str, Any]]:
    """Rows with what happened after the change.

    ``new_gain`` and ``old_gain``: accuracy at the end minus at the change, in the new and in the
    old part. ``adapt_steps``: steps until the new part has gained half of what uniform gains there
    by the end of the run of the same seed; the run's remaining steps if it never does.
    """
    keys = ("world", "weighting", "regime_share", "seed")
    after, goals = [], {}
    for row in rows:
        _, new = _since(row, "new")
        _, old = _since(row, "old")
        if row["allocator"] == "uniform":
            goals[tuple(row[key] for key in keys)] = (new[-1] - new[0]) / 2
        after.append({**row, "new_gain": new[-1] - new[0], "old_gain": old[-1] - old[0]})
    for row in after:
        at, new = _since(row, "new")
        goal = new[0] + goals[tuple(row[key] for key in keys)]
        row["adapt_steps"] = float(first_crossing(at, new, goal) - at[0])
        row["has_adapted"] = bool(max(new) >= goal)
    return after


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


def answer(rows: Rows) -> Answer:
    """Adaptation and forgetting, against uniform."""
    after = adapted(rows)
    several = len({row["regime_share"] for row in after}) > 1

    def share(row: Row) -> str | None:
        return f"share {row['regime_share']:g}" if several else None

    def variant(row: Row) -> str:
        return name_of(row["allocator"], share(row))

    def reference(row: Row) -> str:
        return name_of("uniform", share(row))

    to_adapt = "steps until the new part has gained half of uniform's gain"
    sections = [
        section(
            f"{subject}, against uniform", after, metric,
            variant=variant, reference=reference, scale=scale, unit=unit,
        )
        for subject, metric, scale, unit in (
            (to_adapt, "adapt_steps", 1.0, "steps"),
            ("gain of the new part since the change", "new_gain", 100.0, "points"),
            ("change of the old part since the change", "old_gain", 100.0, "points"),
        )
    ]  # fmt: skip
    own = [
        levels(after, "adapt_steps", to_adapt.capitalize(), variant=variant, scale=1.0),
        levels(
            after, "old_gain", "Points that the old part gained since the change", variant=variant
        ),
        _forgetting(after),
    ]
    result = compose(sections, figures=[_after_change(after, name) for name in ("new", "old")])
    return replace(result, conclusion=[result.conclusion[0], *own, *result.conclusion[1:]])


def _forgetting(rows: Rows) -> str:
    """How often the old part got worse, and how often the new one was never learned."""
    parts = []
    for (name,), group in grouped(rows, "allocator").items():
        lost = sum(row["old_gain"] < 0 for row in group)
        never = sum(not row["has_adapted"] for row in group)
        parts.append(f"{name} {lost} and {never} of {len(group)}")
    return (
        "Runs in which the old part ended below its level at the change, and runs that did not "
        "adapt before their end (counted as their remaining steps): " + "; ".join(parts) + "."
    )


def _after_change(rows: Rows, name: str) -> go.Figure:
    """Mean accuracy of a part from the change on, a panel per world and weighting."""
    groups = grouped(rows, "world", "weighting")
    figure = make_subplots(
        -(-len(groups) // 2), 2, vertical_spacing=0.15,
        subplot_titles=[label(", per ".join(group)) for group in groups],
    )  # fmt: skip
    for place, members in enumerate(groups.values()):
        for (allocator,), own in grouped(members, "allocator").items():
            runs = [_since(row, name) for row in own]
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
    answer,
    plan,
    measure=curves,
    notes=(
        "Halfway, a share of the pool and of the held-out prompts is replaced by a new, hard "
        "cluster. The estimates of the replaced prompts are then wrong until their next visit.",
    ),
)
