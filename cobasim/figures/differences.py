"""Final differences to the baseline as a forest plot."""

from __future__ import annotations

from collections.abc import Iterable

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim.errors import InputError
from cobasim.figures.style import AXIS, colour_of, hollow, label, lay_out, marker_of
from cobasim.scores import Interval, Row


def final_differences(rows: Iterable[Row]) -> go.Figure:
    """Draw the final held-out difference to the baseline with 95 % intervals.

    One panel per weighting, side by side; intervals are paired by seed.  Raises InputError if
    no row has a difference.
    """
    table = [(row, row.heldout_difference) for row in rows if row.heldout_difference is not None]
    if not table:
        raise InputError("no allocator has a difference to the baseline; nothing to draw")
    weightings = list(dict.fromkeys(row.weighting for row, _ in table))
    names = list(dict.fromkeys(row.allocator for row, _ in table))
    figure = make_subplots(
        rows=1,
        cols=len(weightings),
        shared_xaxes="all",
        shared_yaxes=True,
        subplot_titles=[f"weighted per {label(name)}" for name in weightings],
        horizontal_spacing=0.04,
    )
    for row, difference in table:
        column = weightings.index(row.weighting) + 1
        figure.add_trace(_point(row, difference), row=1, col=column)
    figure.add_vline(x=0, line={"color": AXIS, "width": 1.5})
    figure.update_xaxes(title="percentage points", zeroline=False)
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=[label(name) for name in reversed(names)],
        range=[-0.6, len(names) - 0.4],
    )
    lay_out(figure, "Final held-out accuracy minus the baseline's", 190 + 34 * len(names))
    return figure.update_layout(showlegend=False, margin={"t": 84})


def _point(row: Row, difference: Interval) -> go.Scatter:
    """One difference in points with its interval; open for an oracle."""
    known = difference.low is not None and difference.high is not None
    half = 100 * (difference.high - difference.mean) if difference.high is not None else 0.0
    spread = f"± {half:.2f} (95 %)" if known else "(one seed: no interval)"
    colour, marker = colour_of(row.allocator), marker_of(row.allocator)
    return go.Scatter(
        x=[100 * difference.mean],
        y=[label(row.allocator)],
        mode="markers",
        marker={"color": colour, "symbol": hollow(marker) if row.oracle else marker, "size": 11},
        error_x={"type": "data", "array": [half], "color": colour, "thickness": 2, "width": 5}
        if known
        else None,
        hovertemplate=(
            f"<b>{label(row.allocator)}</b><br>%{{x:+.2f}} {spread} points, "
            f"{difference.n} seeds<extra></extra>"
        ),
    )
