"""The picture of the study: how much more than uniform each way to give budgets gains in a step."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim.experiments.intervals import half_width
from cobasim.figures import colour_of, label, lay_out
from cobasim.figures.style import AXIS, marker_of
from cobasim.scores import Rows, mean_interval


def picture(states: Rows) -> go.Figure:
    """Gains minus uniform's in points a step with 95 % intervals, a panel for each weighting.

    Args:
        states: rows with the columns weighting, scale, arm, more and uniform.
    """
    own = [row for row in states if row["scale"] == "own"]
    weightings = list(dict.fromkeys(row["weighting"] for row in own))
    names = [name for name in dict.fromkeys(row["arm"] for row in own) if name != "uniform"]
    levels = [
        mean_interval([row["points"] for row in own if _is(row, weighting, "uniform")]).mean
        for weighting in weightings
    ]
    figure = make_subplots(
        rows=1, cols=len(weightings), shared_xaxes="all", shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=[
            f"weighted per {label(name)}: uniform gains {level:+.2f}"
            for name, level in zip(weightings, levels, strict=True)
        ],
    )  # fmt: skip
    for column, weighting in enumerate(weightings, start=1):
        for name in names:
            more = mean_interval([row["more"] for row in own if _is(row, weighting, name)])
            best = name.startswith("best")
            colour = "#009e73" if best else colour_of(name)
            point = go.Scatter(
                x=[more.mean], y=[label(name)], mode="markers",
                marker={"color": colour, "size": 11,
                        "symbol": "diamond" if best else marker_of(name)},
                error_x={"type": "data", "array": [half_width(more) or 0.0], "color": colour},
                hovertemplate=f"<b>{label(name)}</b> %{{x:+.3f}} points<extra></extra>",
            )  # fmt: skip
            figure.add_trace(point, row=1, col=column)
    figure.add_vline(x=0, line={"color": AXIS, "width": 1.5})
    lay_out(figure, "Expected gain of a step, minus uniform's (points)", 200 + 32 * len(names))
    figure.update_xaxes(title="points of held-out accuracy a step", zeroline=False)
    figure.update_yaxes(
        categoryorder="array", categoryarray=[label(name) for name in reversed(names)],
        range=[-0.6, len(names) - 0.4],
    )  # fmt: skip
    return figure.update_layout(showlegend=False, margin={"t": 90})


def _is(row: dict[str, object] | object, weighting: str, arm: str) -> bool:
    assert isinstance(row, dict)
    return row["weighting"] == weighting and row["arm"] == arm
