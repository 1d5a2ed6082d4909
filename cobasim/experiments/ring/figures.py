"""Numbers of a ring -> plotly figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from cobasim.figures import AXIS, colour_of, faint, label, lay_out, marker_of


def ranks(league: Mapping[str, Any], title: str) -> go.Figure:
    """Mean ranks, the best on top; the band is Nemenyi's critical difference from the best."""
    rows = league["rows"]
    best = min(row["mean_rank"] for row in rows)
    figure = go.Figure(
        go.Scatter(
            x=[row["mean_rank"] for row in rows],
            y=[label(row["allocator"]) for row in rows],
            mode="markers",
            marker={
                "size": 12,
                "color": [colour_of(row["allocator"]) for row in rows],
                "symbol": [marker_of(row["allocator"]) for row in rows],
            },
            hovertemplate="%{y}: mean rank %{x:.2f}<extra></extra>",
        )
    )
    figure.add_vrect(
        x0=best, x1=best + league["critical_difference"], fillcolor=faint("#808080", 0.15),
        line_width=0,
    )  # fmt: skip
    figure.update_xaxes(title="mean rank over conditions (1 is best)")
    figure.update_yaxes(autorange="reversed")
    per = "both weightings" if title == "both" else f"loss weighted per {label(title)}"
    text = f"Mean rank, {per}<br><sup>band: statistically tied with the best by rank</sup>"
    return lay_out(figure, text, height=170 + 24 * len(rows)).update_layout(showlegend=False)


def heatmap(result: Mapping[str, Any], reference: str, weighting: str) -> go.Figure:
    """Allocators x conditions of one weighting: difference to a reference in points.

    A cell with a number is significant, one with a dot is not. Allocators are in the
    order of the league, conditions in the order of the plan.
    """
    inside = [c for c, row in enumerate(result["conditions"]) if row["weighting"] == weighting]
    differences = result["differences"][reference]
    order = [row["allocator"] for row in result["leagues"][weighting]["rows"]]
    names = [name for name in order if name != reference]
    z = np.array([[100 * differences[name][c]["mean"] for c in inside] for name in names])
    p = np.array([[differences[name][c]["adjusted_p"] for c in inside] for name in names])
    text = np.where(p < result["level"], np.char.mod("%+.1f", z), "·")
    spread = (
        float(np.quantile(np.abs(z), 0.98)) or 1.0
    )  # a few extremes must not make the rest pale
    figure = go.Figure(
        go.Heatmap(
            z=z,
            x=[label(result["conditions"][c]["label"]) for c in inside],
            y=[label(name) for name in names],
            text=text,
            texttemplate="%{text}",
            textfont={"size": 10},
            customdata=p,
            colorscale="RdBu",
            zmid=0.0,
            zmin=-spread,
            zmax=spread,
            xgap=1,
            ygap=1,
            colorbar={"thickness": 12, "outlinewidth": 0, "title": "points"},
            hovertemplate=(
                "%{y}<br>%{x}<br>%{z:+.2f} points, adjusted p %{customdata:.2g}<extra></extra>"
            ),
        )
    )
    figure.update_xaxes(type="category", showgrid=False, tickangle=-60, linecolor=AXIS)
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
    title = (
        f"Minus {label(reference)}, loss weighted per {label(weighting)}"
        "<br><sup>points of held-out accuracy at equal rollouts; a dot: not significant</sup>"
    )
    return lay_out(figure, title, height=330 + 24 * len(names))
