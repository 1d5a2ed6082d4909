"""Curves over rollouts or steps: the mean over seeds of each allocator with its 95 % band."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import plotly.graph_objects as go

from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.figures.groups import Groups, block_length, by_allocator, seeds_of, weighting_of
from cobasim.figures.style import (
    colour_of,
    dash_of,
    faint,
    label,
    lay_out,
    marker_of,
    visibility,
)
from cobasim.records import Run, columns
from cobasim.scores import accuracy_curve, is_oracle, t_factor

Curve = tuple[FloatArray, FloatArray]
"""x and y, (points,) each."""

Bundle = tuple[FloatArray, FloatArray]
"""Curves of several seeds on one x: (points,) and (seeds, points), NaN where a seed has none."""

_EVALUATIONS: Final = {"heldout": "Held-out", "hard": "Hard-set", "pool": "Training-pool"}


# --- over rollouts ---------------------------------------------------------------------------


def accuracy(runs: Iterable[Run], key: str = "heldout") -> go.Figure:
    """Draw accuracy against cumulative rollouts: mean over seeds with 95 % bands.

    runs: of one weighting.  key: which evaluation (``heldout``, ``hard``, ``pool``, ...).
    Raises InputError for no runs, several weightings, or if ``key`` was never evaluated.
    """
    groups = by_allocator(runs)

    def bundle(group: Sequence[Run]) -> Bundle | None:
        curves = [curve for run in group if (curve := accuracy_curve(run, key))[0].size]
        return _on_grid(curves) if curves else None

    kind = _EVALUATIONS.get(key, label(key))
    look = _Look(
        axis=f"{kind.lower()} accuracy (%)",
        scale=100,
        hover="%{y:.2f} % ± %{customdata:.2f}<br>at %{x:,.0f} rollouts",
        missing=f"no run has an evaluation of {key!r}; nothing to draw yet",
        markers=True,
        ends=(0.0, 100.0),
    )
    figure = _draw(groups, bundle, look)
    figure.update_xaxes(title="rollouts sampled so far")
    return lay_out(
        figure, f"{kind} accuracy", subtitle=f"{weighting_of(groups)}, {seeds_of(groups)}"
    )


def difference_to_baseline(
    runs: Iterable[Run], baseline: str = "uniform", key: str = "heldout"
) -> go.Figure:
    """Draw accuracy minus the baseline's of the same seed at equal rollouts, with 95 % bands.

    runs: of one weighting, the baseline's among them.  Raises InputError as ``accuracy``
    does, and if no other allocator shares a seed with the baseline.
    """
    groups = by_allocator(runs)
    reference = {run.header.seed: accuracy_curve(run, key) for run in groups.get(baseline, [])}
    if not reference:
        raise InputError(f"there is no run of the baseline {baseline!r} to compare with")

    def paired(run: Run) -> Curve | None:
        x, y = accuracy_curve(run, key)
        base_x, base_y = reference.get(run.header.seed, (x[:0], y[:0]))
        if not x.size or not base_x.size:
            return None
        grid, both = _on_grid([(x, y), (base_x, base_y)])
        difference = both[0] - both[1]
        known = np.isfinite(difference)
        return grid[known], difference[known]

    def bundle(group: Sequence[Run]) -> Bundle | None:
        if group[0].header.allocator == baseline:
            return None
        curves = [curve for run in group if (curve := paired(run)) is not None and curve[0].size]
        return _on_grid(curves) if curves else None

    kind = _EVALUATIONS.get(key, label(key))
    name = label(baseline)
    look = _Look(
        axis=f"minus {name} (percentage points)",
        scale=100,
        hover="%{y:+.2f} ± %{customdata:.2f} points<br>at %{x:,.0f} rollouts",
        missing=f"no other allocator shares an evaluated seed with {baseline!r}",
        markers=True,
    )
    figure = _draw(groups, bundle, look)
    figure.add_hline(y=0, line={"color": colour_of(baseline), "width": 2})
    figure.update_xaxes(title="rollouts sampled so far")
    return lay_out(figure, f"{kind} accuracy minus {name}'s", subtitle=weighting_of(groups))


# --- over steps ------------------------------------------------------------------------------


def alpha_over_time(runs: Iterable[Run]) -> go.Figure:
    """Draw the first shape of the preference density over steps (Figure 5 of arXiv 2602.03048).

    runs: of one weighting.  Raises InputError if no allocator among them has a shape.
    """
    look = _Look(
        axis="alpha (high = exploit, low = explore)",
        scale=1,
        hover="alpha %{y:.2f} at step %{x:.0f}",
        missing="no run records an alpha: none of its allocators has a preference density",
    )
    return _over_steps(runs, "alpha", "Alpha over time", look)


def mixed_share(runs: Iterable[Run]) -> go.Figure:
    """Draw the share of mixed groups, the only ones with a gradient, over steps.

    runs: of one weighting.  Raises InputError if no run records it.
    """
    look = _Look(
        axis="mixed groups (%)",
        scale=100,
        hover="%{y:.1f} % at step %{x:.0f}",
        missing="no run records the share of mixed groups",
        ends=(0.0, 100.0),
    )
    return _over_steps(runs, "mixed_share", "Share of mixed groups", look)


def _over_steps(runs: Iterable[Run], column: str, title: str, look: _Look) -> go.Figure:
    """Draw one column of ``records.columns``, averaged over blocks of steps in long runs."""
    groups = by_allocator(runs)
    blocks = [1]

    def bundle(group: Sequence[Run]) -> Bundle | None:
        series = _step_series(group, column)
        if series is None:
            return None
        blocks.append(series[2])
        return series[0], series[1]

    figure = _draw(groups, bundle, look)
    note = f", means of {max(blocks)}" if max(blocks) > 1 else ""
    figure.update_xaxes(title=f"step (policy updates{note})")
    return lay_out(figure, title, subtitle=weighting_of(groups))


def _step_series(runs: Sequence[Run], name: str) -> tuple[FloatArray, FloatArray, int] | None:
    """Return (points,) steps, (seeds, points) values and the number of steps per point.

    Long runs are averaged over blocks of equal length.  None if no run has the column.
    """
    curves = []
    for run in runs:
        table = columns(run)
        known = np.isfinite(table[name])
        if known.any():
            curves.append((table["step"][known], table[name][known]))
    if not curves:
        return None
    last = max(int(x[-1]) for x, _ in curves)
    block = block_length(last)
    blocks = last // block + 1
    values = np.full((len(curves), blocks), np.nan)
    for row, (x, y) in enumerate(curves):
        index = (x // block).astype(np.int64)
        count = np.bincount(index, minlength=blocks)
        total = np.bincount(index, weights=y, minlength=blocks)
        np.divide(total, count, out=values[row], where=count > 0)
    steps = np.arange(blocks) * block + (block - 1) / 2
    used = np.isfinite(values).any(axis=0)
    return steps[used], values[:, used], block


# --- drawing ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Look:
    """How the curves of a figure are shown."""

    axis: str
    """Title of the y-axis."""
    scale: float
    """Factor from the values to the unit of that axis."""
    hover: str
    """Plotly's template; ``customdata`` is the half width of the band."""
    missing: str
    """The error if no allocator has a curve."""
    markers: bool = False
    ends: tuple[float, float] | None = None
    """What the values cannot pass, and bands do not either; None: no ends."""


def _draw(
    groups: Groups, bundle: Callable[[Sequence[Run]], Bundle | None], look: _Look
) -> go.Figure:
    """Draw one curve per allocator from the bundle of its runs, None where it has none."""
    bundles = {name: data for name, runs in groups.items() if (data := bundle(runs)) is not None}
    if not bundles:
        raise InputError(look.missing)
    figure = go.Figure().update_yaxes(title=look.axis)
    for name, (x, values) in bundles.items():
        mean, half = _band(look.scale * values)
        for trace in _traces(name, x, mean, half, look):
            trace.visible = visibility(name, len(bundles))
            figure.add_trace(trace)
    return figure


def _traces(
    name: str, x: FloatArray, mean: FloatArray, half: FloatArray, look: _Look
) -> list[go.Scatter]:
    """One allocator's mean curve, after its band if there is one; both share a legend entry."""
    colour = colour_of(name)
    traces = []
    inside = np.isfinite(half)
    if inside.any():
        low, high = look.ends or (-np.inf, np.inf)
        upper = np.minimum((mean + half)[inside], high)
        lower = np.maximum((mean - half)[inside], low)
        traces.append(
            go.Scatter(
                x=np.concatenate([x[inside], x[inside][::-1]]),
                y=np.concatenate([upper, lower[::-1]]),
                mode="lines",
                line={"width": 0},
                fill="toself",
                fillcolor=faint(colour, 0.07 if is_oracle(name) else 0.12),
                hoverinfo="skip",
                legendgroup=name,
                showlegend=False,
            )
        )
    traces.append(
        go.Scatter(
            x=x,
            y=mean,
            customdata=half,
            name=label(name),
            mode="lines+markers" if look.markers else "lines",
            line={"color": colour, "width": 2, "dash": dash_of(name)},
            marker={"symbol": marker_of(name), "size": 7},
            legendgroup=name,
            hovertemplate=f"<b>{label(name)}</b><br>{look.hover}<extra></extra>",
        )
    )
    return traces


def _on_grid(curves: Sequence[Curve]) -> Bundle:
    """Put curves on the union of their x, linear between points and NaN beyond the ends."""
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    rows = [np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in curves]
    return grid, np.array(rows)


def _band(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and half width of the 95 % interval over rows of (seeds, points); NaN = missing.

    At each point the seeds that have a value count; the half width is NaN with fewer than two.
    """
    present = np.isfinite(values)
    count = present.sum(axis=0)
    total = np.where(present, values, 0.0).sum(axis=0)
    mean = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    squares = np.where(present, (values - mean) ** 2, 0.0).sum(axis=0)
    half = np.full(count.shape, np.nan)
    for n in np.unique(count[count > 1]):
        at = count == n
        half[at] = t_factor(int(n)) * np.sqrt(squares[at] / (n - 1) / n)
    return mean, half
