"""Rows of sweeps: lines with intervals, heatmaps, and bars of effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from cobasim.errors import InputError
from cobasim.figures.style import AXIS, colour_of, label, lay_out, marker_of
from cobasim.scores import METRICS, Interval, Rows, mean_interval, rows_with, values_by_parameter


def sweep_line(rows: Rows, parameter: str, metric: str, weighting: str) -> go.Figure:
    """Draw one line per allocator over a parameter; other parameters and seeds pooled, 95 % bars.

    With a single swept parameter the interval is over seeds.  metric: a name in
    ``scores.METRICS``.  Raises InputError for an unknown metric or if no row has it.
    """
    chosen = rows_with(rows, metric, weighting)
    if not chosen:
        raise InputError(f"no run has {metric!r} under the weighting per {weighting}")
    figure = go.Figure()
    numbers = all(isinstance(row[parameter], (int, float)) for row in chosen)
    for name in dict.fromkeys(row["allocator"] for row in chosen):
        groups = values_by_parameter(chosen, name, parameter, metric)
        values = sorted(groups) if numbers else list(groups)
        means = [mean_interval(groups[value]) for value in values]
        half = [0.0 if mean.high is None else mean.high - mean.mean for mean in means]
        figure.add_trace(
            go.Scatter(
                x=values,
                y=[mean.mean for mean in means],
                error_y={"type": "data", "array": half, "width": 4, "thickness": 1.5},
                name=label(name),
                mode="lines+markers",
                line={"color": colour_of(name), "width": 2},
                marker={"symbol": marker_of(name), "size": 8},
                customdata=half,
                hovertemplate=(
                    f"<b>{label(name)}</b><br>{label(parameter)} = %{{x}}: %{{y:.3f}} ± "
                    "%{customdata:.3f}<extra></extra>"
                ),
            )
        )
    every = [row[parameter] for row in chosen]
    figure.update_xaxes(title=label(parameter), type="log" if numbers and _is_log(every) else None)
    if not numbers:
        figure.update_xaxes(type="category")
    if metric == "minus_uniform":
        figure.add_hline(y=0, line={"color": colour_of("uniform"), "width": 2})
    figure.update_yaxes(title=METRICS[metric][0])
    return lay_out(
        figure, f"By {label(parameter)}", 420, subtitle=f"loss weighted per {label(weighting)}"
    )


def _is_log(values: Sequence[float]) -> bool:
    low, high = min(values), max(values)
    return low > 0 and high / low >= 30


def sweep_heatmap(
    rows: Rows, first: str, second: str, metric: str, weighting: str, allocator: str
) -> go.Figure:
    """Draw the mean of a metric over two parameters for one allocator; seeds and the rest pooled.

    The text of a cell is mean ± half of the 95 % interval.  metric: a name in
    ``scores.METRICS``.  Raises InputError for an unknown metric or if no row has it.
    """
    chosen = [row for row in rows_with(rows, metric, weighting) if row["allocator"] == allocator]
    if not chosen:
        raise InputError(
            f"no run of {allocator} has {metric!r} under the weighting per {weighting}"
        )
    axis, scale = METRICS[metric]
    xs, ys = (sorted({row[name] for row in chosen}, key=_sortable) for name in (first, second))
    means = {
        (x, y): mean_interval(values)
        for x in xs
        for y in ys
        if (
            values := [scale * row[metric] for row in chosen if (row[first], row[second]) == (x, y)]
        )
    }
    z = np.array([[means[x, y].mean if (x, y) in means else np.nan for x in xs] for y in ys])
    spread = float(np.nanmax(np.abs(z))) or 1.0
    signed = metric == "minus_uniform"
    figure = go.Figure(
        go.Heatmap(
            z=z,
            x=[_text(x) for x in xs],
            y=[_text(y) for y in ys],
            text=[[_mean_text(means.get((x, y))) for x in xs] for y in ys],
            texttemplate="%{text}",
            colorscale="RdBu" if signed else "Cividis",
            zmin=-spread if signed else None,
            zmax=spread if signed else None,
            xgap=1,
            ygap=1,
            colorbar={"thickness": 12, "outlinewidth": 0},
            hovertemplate=(
                f"{label(first)} %{{x}}, {label(second)} %{{y}}: %{{z:.3f}}<extra></extra>"
            ),
        )
    )
    figure.update_xaxes(title=label(first), type="category", showgrid=False)
    figure.update_yaxes(title=label(second), type="category", showgrid=False)
    return lay_out(
        figure,
        f"{label(allocator)}: {axis}",
        height=max(320, 130 + 52 * len(ys)),
        subtitle=f"loss weighted per {label(weighting)}",
    )


def _sortable(value: Any) -> tuple[bool, Any]:
    return isinstance(value, str), value


def _mean_text(mean: Interval | None) -> str:
    if mean is None:
        return ""
    half = "" if mean.high is None else f"<br>± {mean.high - mean.mean:.2f}"
    return f"{mean.mean:.2f}{half}"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else label(str(value))


def tornado(
    names: Sequence[str], values: Sequence[float], halves: Sequence[float], title: str, axis: str
) -> go.Figure:
    """Draw horizontal bars with intervals, the largest on top.

    values, halves: one each per name, the length of its bar and the half width of its interval.
    """
    order = np.argsort(np.abs(values))
    figure = go.Figure(
        go.Bar(
            x=[values[i] for i in order],
            y=[label(names[i]) for i in order],
            error_x={"type": "data", "array": [halves[i] for i in order], "color": AXIS},
            orientation="h",
            marker={"color": "#0072b2"},
            hovertemplate="%{y}: %{x:.4f}<extra></extra>",
        )
    )
    figure.update_xaxes(title=axis)
    return lay_out(figure, title, height=150 + 28 * len(names))
