"""Contrasts -> a forest plot. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim.experiments.studies.contrasts import Contrast
from cobasim.figures import AXIS, TEXT, colour_of, label, lay_out


def forest(contrasts: Sequence[Contrast], title: str, unit: str = "points") -> go.Figure:
    """Differences with intervals, a panel per group; hollow where not significant."""
    groups = list(dict.fromkeys(contrast.group for contrast in contrasts))
    names = list(dict.fromkeys(contrast.what for contrast in contrasts))[::-1]
    across = min(2, len(groups))
    down = -(-len(groups) // across)
    height = 160 + 90 * (down - 1) + down * (40 + 22 * len(names))
    figure = make_subplots(
        down, across, shared_yaxes=True, horizontal_spacing=0.04,
        vertical_spacing=90 / height if down > 1 else 0.0,
        subplot_titles=[label(", per ".join(group)) for group in groups],
    )  # fmt: skip
    for place, group in enumerate(groups):
        row, column = divmod(place, across)
        points = _points([contrast for contrast in contrasts if contrast.group == group])
        figure.add_trace(points, row=row + 1, col=column + 1)
    figure.add_vline(x=0, line={"color": TEXT, "width": 1})
    title = title[0].upper() + title[1:] + "<br><sup>hollow: not significant</sup>"
    lay_out(figure, title, height=height)
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=[label(name) for name in names]
    )
    figure.update_layout(margin={"t": 100})
    for column in range(1, across + 1):
        figure.update_xaxes(title=unit, row=down, col=column)
    return figure


def _points(contrasts: Sequence[Contrast]) -> go.Scatter:
    """One panel's differences."""
    return go.Scatter(
        x=[each.mean for each in contrasts],
        y=[label(each.what) for each in contrasts],
        error_x={
            "type": "data",
            "array": [each.half or 0.0 for each in contrasts],
            "color": AXIS,
        },
        mode="markers",
        marker={
            "size": 9,
            "color": [colour_of(each.what.split(",")[0]) for each in contrasts],
            "symbol": ["circle" if each.beyond else "circle-open" for each in contrasts],
        },
        customdata=[[each.text, each.versus, f"{each.p:.3f}"] for each in contrasts],
        hovertemplate="%{y} minus %{customdata[1]}: %{customdata[0]}, p %{customdata[2]}"
        "<extra></extra>",
        showlegend=False,
    )
