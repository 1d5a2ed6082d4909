"""What a gradient is made of: its parts by pass rate, and what difficulty levels share."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from cobasim.figures.style import lay_out

PARTS = {
    "within": ("within: of a rollout", "#0072b2", "circle"),
    "own": ("own: of a prompt", "#d55e00", "square"),
    "shared": ("shared: between prompts", "#009e73", "diamond"),
}


def gradient_parts(report: dict[str, Any]) -> go.Figure:
    """The three parts by pass rate, with 95 % intervals, on a logarithmic axis.

    report: as ``PartsReport.to_json`` gives it. Estimates and ends of intervals below 0, which a
    logarithm cannot show, are left out.
    """
    rows = report["by pass rate"]
    figure = _curves([row["name"] for row in rows], rows)
    figure.update_xaxes(title="pass rate of the prompt")
    return lay_out(figure, "Parts of a group's gradient, by pass rate", height=420)


def parts_over_steps(steps: list[int], rows: list[dict[str, Any]]) -> go.Figure:
    """The three parts over the steps (k,) of a run at which they were measured.

    rows: (k,) the row of all prompts of each report. What a logarithm cannot show is left out, as
    in ``gradient_parts``.
    """
    figure = _curves(steps, rows)
    figure.update_xaxes(title="step of the run")
    return lay_out(figure, "Parts of a group's gradient while the policy learns", height=420)


def _curves(names: list[Any], rows: list[dict[str, Any]]) -> go.Figure:
    """One curve a part, with intervals, over ``names`` (k,), of ``rows`` (k,)."""
    figure = go.Figure()
    for name, (label, colour, symbol) in PARTS.items():
        value, low, high = np.array([row[name] for row in rows], dtype=np.float64).reshape(-1, 3).T
        shown = value > 0.0
        low = np.where(low > 0.0, low, value * 1e-3)
        figure.add_trace(
            go.Scatter(
                x=[name for name, keep in zip(names, shown, strict=True) if keep],
                y=value[shown],
                error_y={
                    "type": "data",
                    "array": (high - value)[shown],
                    "arrayminus": (value - low)[shown],
                    "width": 4,
                },
                name=label,
                mode="lines+markers",
                line={"color": colour, "width": 2},
                marker={"symbol": symbol, "size": 9},
            )
        )
    figure.update_yaxes(title="squared norm of the part", type="log")
    return figure


def shared_between_levels(report: dict[str, Any]) -> go.Figure:
    """Mean inner product of the gradients of prompts of two levels.

    report: as ``PartsReport.to_json`` gives it.
    """
    levels = report["levels"]
    table = np.array(
        [[np.nan if x is None else x for x in row] for row in report["shared between levels"]],
        dtype=np.float64,
    )
    top = float(np.nanmax(np.abs(table))) if np.isfinite(table).any() else 1.0
    figure = go.Figure(
        go.Heatmap(
            x=levels, y=levels, z=table, zmin=-top, zmax=top, colorscale="RdBu", reversescale=False,
            text=[["" if np.isnan(x) else f"{x:.3g}" for x in row] for row in table],
            texttemplate="%{text}", colorbar={"title": "inner product"},
        )
    )  # fmt: skip
    figure.update_xaxes(title="level", type="category")
    figure.update_yaxes(title="level", type="category")
    return lay_out(figure, "What prompts of two levels share", height=460)
