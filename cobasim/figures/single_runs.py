"""Single runs, nothing pooled: a column of the records, and where the time of a step goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import plotly.graph_objects as go

from cobasim.errors import InputError
from cobasim.figures.style import DASHES, colour_of, faint, label, lay_out, marker_of
from cobasim.records import Run, columns

_X_AXES: Final = {"step": "step (policy updates)", "rollouts": "rollouts sampled so far"}

_PHASES: Final = {
    "allocate": ("allocation", "#d55e00"),
    "generate": ("generation", "#0072b2"),
    "reward": ("rewards", "#cc79a7"),
    "train": ("forward and backward", "#009e73"),
    "sync": ("weight sync", "#e69f00"),
}
"""Phases of a real run's step: name in the legend and colour."""


def run_curves(
    runs: Mapping[str, Run],
    column: str,
    *,
    against: str = "step",
    title: str | None = None,
    axis: str | None = None,
    scale: float = 1.0,
) -> go.Figure:
    """Draw one column of ``records.columns``, one line per run.

    runs: label -> run, of any source or weighting.  against: ``step`` or ``rollouts``.
    Runs of one allocator have its colour and differ in dash.  Raises InputError if no run has
    the column.
    """
    figure = go.Figure()
    used: dict[str, int] = {}
    for name, run in runs.items():
        table = columns(run)
        values = table.get(column)
        known = np.isfinite(values) if values is not None else np.zeros(0, dtype=bool)
        if values is None or not known.any():
            continue
        allocator = run.header.allocator
        number = used[allocator] = used.get(allocator, -1) + 1
        sparse = int(known.sum()) <= 60
        figure.add_trace(
            go.Scatter(
                x=table[against][known],
                y=scale * values[known],
                name=label(name),
                mode="lines+markers" if sparse else "lines",
                line={
                    "color": colour_of(allocator),
                    "width": 2,
                    "dash": DASHES[number % len(DASHES)],
                },
                marker={"symbol": marker_of(allocator), "size": 6},
                hovertemplate=f"<b>{label(name)}</b><br>%{{y:.4g}} at %{{x:,.0f}}<extra></extra>",
            )
        )
    if not used:
        raise InputError(f"no run records {column!r}; nothing to draw yet")
    figure.update_xaxes(title=_X_AXES[against])
    figure.update_yaxes(title=axis or label(column))
    figure.update_layout(showlegend=True)
    return lay_out(figure, title or label(column), height=380)


def phase_seconds(run: Run) -> go.Figure:
    """Draw the seconds of each phase of a real run's steps, stacked.

    Raises InputError for a run without times, such as a simulation.
    """
    table = columns(run)
    series = {name: table.get(f"learner.seconds_{name}") for name in _PHASES}
    if table["allocate_ms"].size:
        series["allocate"] = table["allocate_ms"] / 1e3
    if all(series[name] is None for name in ("generate", "train")):
        raise InputError("this run records no times of its phases")
    figure = go.Figure()
    for name, values in series.items():
        if values is None:
            continue
        known = np.isfinite(values)
        text, colour = _PHASES[name]
        figure.add_trace(
            go.Scatter(
                x=table["step"][known],
                y=values[known],
                name=text,
                mode="lines",
                stackgroup="seconds",
                line={"width": 0.5, "color": colour},
                fillcolor=faint(colour, 0.6),
                hovertemplate=f"{text}: %{{y:.3f}} s<extra></extra>",
            )
        )
    figure.update_layout(hovermode="x")
    figure.update_xaxes(title="step (policy updates)")
    figure.update_yaxes(title="seconds")
    return lay_out(figure, "Where the time of a step goes", height=380)
