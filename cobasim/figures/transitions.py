"""Where the prompts of each difficulty class ended."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim.arrays import IntArray
from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.errors import InputError
from cobasim.figures.groups import by_allocator, weighting_of
from cobasim.figures.style import colour_bar, label, lay_out
from cobasim.records import Run
from cobasim.scores import transition_counts, transition_shares


def transition_matrices(runs: Iterable[Run], columns: int = 3) -> go.Figure:
    """Draw where prompts of each difficulty class ended, one heatmap per allocator.

    Rows of a heatmap: class at step 0; columns: class at the last evaluation; shares of the row,
    seeds pooled (Figure 7 of arXiv 2602.03048).  runs: of one weighting; columns: heatmaps side
    by side.  Raises InputError if no run has transitions.
    """
    groups = by_allocator(runs)
    counts: dict[str, IntArray] = {}
    for name, group in groups.items():
        tables = [table for run in group if (table := transition_counts(run)) is not None]
        if tables:
            counts[name] = np.sum(tables, axis=0)
    if not counts:
        raise InputError("no run has counted transitions between difficulty classes")
    columns = min(columns, len(counts))
    rows = -(-len(counts) // columns)
    height = 250 * rows + 130
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[label(name) for name in counts],
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.025,
        vertical_spacing=34 / (height - 150),
    )
    for number, table in enumerate(counts.values()):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        figure.add_trace(_matrix(table, with_scale=number == 0), **place)
    lay_out(figure, "Difficulty classes, first to last", height, subtitle=weighting_of(groups))
    figure.update_yaxes(autorange="reversed", showgrid=False, showline=False)
    figure.update_xaxes(showgrid=False, showline=False, tickangle=-45)
    figure.update_yaxes(title_text="class at step 0", col=1)
    for column in range(1, columns + 1):  # the lowest heatmap of each column
        lowest = (len(counts) - column) // columns + 1
        figure.update_xaxes(title_text="class now", showticklabels=True, row=lowest, col=column)
    return figure.update_layout(margin={"t": 90})


def _matrix(counts: IntArray, *, with_scale: bool) -> go.Heatmap:
    """One (5, 5) table of counts as a heatmap of its rows' shares in %."""
    shares = 100 * transition_shares(counts)
    return go.Heatmap(
        z=shares,
        x=DIFFICULTY_CLASSES,
        y=DIFFICULTY_CLASSES,
        zmin=0,
        zmax=100,
        text=[["" if np.isnan(share) else f"{share:.0f}" for share in row] for row in shares],
        texttemplate="%{text}",
        customdata=counts,
        colorscale="Cividis",
        showscale=with_scale,
        colorbar=colour_bar("share of the row (%)", lenmode="pixels", len=230, y=1, yanchor="top"),
        xgap=1,
        ygap=1,
        hovertemplate="from %{y} to %{x}<br>%{z:.1f} % (%{customdata:,} prompts)<extra></extra>",
    )
