"""Tables of sweeps -> plotly figures: lines with intervals, heatmaps, effects. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from cobasim.errors import InputError
from cobasim.figures.figures import AXIS, colour_of, label, lay_out, marker_of
from cobasim.scores import mean_interval

Rows = Sequence[Mapping[str, Any]]

METRICS: dict[str, tuple[str, float]] = {
    "final_heldout": ("final held-out accuracy (%)", 100.0),
    "minus_uniform": ("held-out accuracy minus uniform (points)", 100.0),
    "auc": ("mean held-out accuracy over the run (%)", 100.0),
    "final_hard": ("final accuracy on the hard set (%)", 100.0),
    "effective_ratio": ("mixed groups (%)", 100.0),
    "never_mixed": ("visited prompts that never had a mixed group (%)", 100.0),
    "budget_gini": ("Gini coefficient of the budgets", 1.0),
}
"""Columns that can be drawn: the axis' text, and the scale."""


def with_differences(rows: Rows) -> list[dict[str, Any]]:
    """Rows with ``minus_uniform``: against uniform at the same point, weighting and seed."""

    def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return row["point"], row["weighting"], row["seed"]

    base = {key(row): row["final_heldout"] for row in rows if row["allocator"] == "uniform"}
    found = []
    for row in rows:
        reference = base.get(key(row))
        own = row["final_heldout"]
        known = row["allocator"] != "uniform" and reference is not None and own is not None
        found.append({**row, "minus_uniform": own - reference if known else None})
    return found


def _of(rows: Rows, metric: str, weighting: str) -> list[Mapping[str, Any]]:
    if metric not in METRICS:
        raise InputError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    return [row for row in rows if row["weighting"] == weighting and row.get(metric) is not None]


def _is_log(values: Sequence[float]) -> bool:
    low, high = min(values), max(values)
    return low > 0 and high / low >= 30


def line(rows: Rows, parameter: str, metric: str, weighting: str) -> go.Figure:
    """One line per allocator over a parameter; other parameters and seeds pooled, 95 % bars.

    With a single swept parameter the interval is over seeds. Raises InputError if nothing is there.
    """
    mine = _of(rows, metric, weighting)
    if not mine:
        raise InputError(f"no run has {metric!r} under the weighting per {weighting}")
    axis, scale = METRICS[metric]
    figure = go.Figure()
    numbers = all(isinstance(row[parameter], (int, float)) for row in mine)
    for name in dict.fromkeys(row["allocator"] for row in mine):
        groups: dict[Any, list[float]] = {}
        for row in mine:
            if row["allocator"] == name:
                groups.setdefault(row[parameter], []).append(scale * row[metric])
        values = sorted(groups) if numbers else list(groups)
        found = [mean_interval(groups[value]) for value in values]
        half = [0.0 if one.high is None else one.high - one.mean for one in found]
        figure.add_trace(
            go.Scatter(
                x=values,
                y=[one.mean for one in found],
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
    every = [row[parameter] for row in mine]
    figure.update_xaxes(title=label(parameter), type="log" if numbers and _is_log(every) else None)
    if not numbers:
        figure.update_xaxes(type="category")
    if metric == "minus_uniform":
        figure.add_hline(y=0, line={"color": colour_of("uniform"), "width": 2})
    figure.update_yaxes(title=axis)
    return lay_out(
        figure, f"By {label(parameter)}, loss weighted per {label(weighting)}", height=420
    )


def heatmap(
    rows: Rows, first: str, second: str, metric: str, weighting: str, allocator: str
) -> go.Figure:
    """Mean of a metric over two parameters for one allocator; seeds and the rest pooled.

    The text of a cell is mean ± half of the 95 % interval. Raises InputError if nothing is there.
    """
    mine = [row for row in _of(rows, metric, weighting) if row["allocator"] == allocator]
    if not mine:
        raise InputError(
            f"no run of {allocator} has {metric!r} under the weighting per {weighting}"
        )
    axis, scale = METRICS[metric]
    xs, ys = (sorted({row[name] for row in mine}, key=_sortable) for name in (first, second))
    z = np.full((len(ys), len(xs)), np.nan)
    text = [["" for _ in xs] for _ in ys]
    for j, y in enumerate(ys):
        for i, x in enumerate(xs):
            values = [scale * row[metric] for row in mine if row[first] == x and row[second] == y]
            if values:
                found = mean_interval(values)
                z[j, i] = found.mean
                text[j][i] = f"{found.mean:.2f}"
                if found.high is not None:
                    text[j][i] += f"<br>± {found.high - found.mean:.2f}"
    spread = float(np.nanmax(np.abs(z))) or 1.0
    signed = metric == "minus_uniform"
    figure = go.Figure(
        go.Heatmap(
            z=z,
            x=[_text(x) for x in xs],
            y=[_text(y) for y in ys],
            text=text,
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
    title = f"{label(allocator)}, loss weighted per {label(weighting)}<br><sup>{axis}</sup>"
    return lay_out(figure, title, height=max(320, 110 + 52 * len(ys)))


def _sortable(value: Any) -> tuple[bool, Any]:
    return isinstance(value, str), value


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else label(str(value))


def effects(
    rows: Rows, parameters: Sequence[str], metric: str, weighting: str
) -> list[dict[str, Any]]:
    """Sorted effect sizes: how far the mean moves over each parameter's values, per allocator.

    Each row has the range of the means over the parameter's values (everything else pooled), where
    the highest and lowest mean lie, and ``noise``, the largest half width of their 95 % intervals.
    """
    _, scale = METRICS[metric]
    mine = _of(rows, metric, weighting)
    found = []
    for name in dict.fromkeys(row["allocator"] for row in mine):
        for parameter in parameters:
            groups: dict[Any, list[float]] = {}
            for row in mine:
                if row["allocator"] == name:
                    groups.setdefault(row[parameter], []).append(scale * row[metric])
            if len(groups) < 2:
                continue
            means = {value: mean_interval(group) for value, group in groups.items()}
            best = max(means, key=lambda value: means[value].mean)
            worst = min(means, key=lambda value: means[value].mean)
            halves = [one.high - one.mean for one in means.values() if one.high is not None]
            found.append(
                {
                    "allocator": name,
                    "parameter": parameter,
                    "effect": means[best].mean - means[worst].mean,
                    "noise": max(halves, default=None),
                    "highest at": best,
                    "lowest at": worst,
                }
            )
    return sorted(found, key=lambda row: -row["effect"])


def tornado(
    names: Sequence[str], values: Sequence[float], halves: Sequence[float], title: str, axis: str
) -> go.Figure:
    """Horizontal bars with intervals, the largest on top."""
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
