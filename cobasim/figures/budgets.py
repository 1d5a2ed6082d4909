"""Where rollouts went: budgets by estimated pass rate, from the counts that records keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.figures.groups import Groups, block_length, by_allocator, weighting_of
from cobasim.figures.style import (
    colour_bar,
    colour_of,
    dash_of,
    label,
    lay_out,
    marker_of,
    visibility,
)
from cobasim.records import PASS_RATE_BINS, Run, StepRecord

BIN_TICKS: Final = ("0", *(f"≤{high / 10:.1f}" for high in range(1, 10)), "<1", "1", "unseen")
"""Short labels of the pass-rate bins, for axes; ``records.PASS_RATE_BINS`` has the full ones."""

_POWERS: Final = tuple(2**power for power in range(11))


def budgets_by_pass_rate(
    runs: Iterable[Run], steps: Sequence[int] | None = None, window: int | None = None
) -> go.Figure:
    """Draw mean rollouts per prompt by estimated pass rate (Figure 4 of arXiv 2602.03048).

    runs: of one weighting.  steps: one panel each (default: early, middle and late in the run).
    window: each panel pools the records within this many steps of its step, over all seeds
    (default: a 25th of the run).  Raises InputError if there is nothing at those steps.
    """
    groups = by_allocator(runs)
    recorded = [record.step for record in _with_bins(groups)]
    if not recorded:
        raise InputError("no run records its budgets by pass rate; nothing to draw yet")
    first, last = min(recorded), max(recorded)
    reach = max(1, (last - first) // 25) if window is None else window
    steps = _early_middle_late(groups, first, last, reach) if steps is None else steps
    if not steps:
        raise InputError("steps is empty; name at least one step to draw")
    figure = make_subplots(
        rows=1,
        cols=len(steps),
        shared_yaxes=True,
        subplot_titles=[f"step ≈ {step}" for step in steps],
        horizontal_spacing=0.03,
    )
    labelled: set[str] = set()
    for column, centre in enumerate(steps, start=1):
        for name, group in groups.items():
            prompts, rollouts = _pooled_bins(group, centre - reach, centre + reach)
            if prompts.sum():
                trace = _mean_budgets(name, prompts, rollouts)
                trace.showlegend = name not in labelled
                trace.visible = visibility(name, len(groups))
                figure.add_trace(trace, row=1, col=column)
                labelled.add(name)
    if not labelled:
        raise InputError(
            f"no budgets were recorded near the steps {list(steps)}; "
            f"records run from step {first} to {last}"
        )
    figure.update_xaxes(
        title="estimated pass rate",
        tickvals=np.arange(len(PASS_RATE_BINS)),
        ticktext=BIN_TICKS,
        tickangle=-90,
        range=[-0.6, len(PASS_RATE_BINS) - 0.4],
    )
    figure.update_yaxes(type="log", tickvals=_POWERS, ticktext=[str(power) for power in _POWERS])
    figure.update_yaxes(title="rollouts per prompt (log scale)", col=1)
    lay_out(figure, "Budgets by estimated pass rate", 480, subtitle=weighting_of(groups))
    return figure.update_layout(margin={"t": 86})


def _with_bins(groups: Groups) -> Iterator[StepRecord]:
    """The records of all runs that count budgets by pass rate."""
    return (
        record for group in groups.values() for run in group for record in run.steps if record.bins
    )


def _early_middle_late(groups: Groups, first: int, last: int, reach: int) -> list[int]:
    """Choose three steps, the first one where at least half of the prompts have been seen.

    Before that, in the first epoch, budgets of prompts without an estimate are uniform.
    """
    early = min(
        (
            record.step
            for record in _with_bins(groups)
            if record.bins and 2 * record.bins["prompts"][-1] < sum(record.bins["prompts"])
        ),
        default=first,
    )
    middle = (early + last) // 2
    return sorted({min(early + reach, middle), middle, max(last - reach, middle)})


def _pooled_bins(runs: Sequence[Run], first: int, last: int) -> tuple[FloatArray, FloatArray]:
    """Sum prompts and rollouts per bin, (13,) each, over the records of first..last."""
    total = np.zeros((2, len(PASS_RATE_BINS)))
    for run in runs:
        for record in run.steps:
            if record.bins is not None and first <= record.step <= last:
                total += (record.bins["prompts"], record.bins["rollouts"])
    return total[0], total[1]


def _mean_budgets(name: str, prompts: FloatArray, rollouts: FloatArray) -> go.Scatter:
    """One allocator's mean rollouts per prompt over the bins; NaN for bins without prompts."""
    mean = np.divide(rollouts, prompts, out=np.full(prompts.shape, np.nan), where=prompts > 0)
    return go.Scatter(
        x=np.arange(len(PASS_RATE_BINS)),
        y=mean,
        customdata=np.column_stack([prompts / prompts.sum() * 100]),
        text=PASS_RATE_BINS,
        name=label(name),
        legendgroup=name,
        mode="lines+markers",
        line={"color": colour_of(name), "dash": dash_of(name)},
        marker={"symbol": marker_of(name), "size": 7},
        hovertemplate=(
            f"<b>{label(name)}</b><br>pass rate %{{text}}: %{{y:.1f}} rollouts per "
            "prompt<br>%{customdata[0]:.1f} % of the prompts<extra></extra>"
        ),
    )


def budget_heatmap(runs: Iterable[Run], allocator: str, step: int | None = None) -> go.Figure:
    """Draw mean rollouts per prompt over steps (x) and estimated pass rates (y), seeds pooled.

    runs: of one weighting.  allocator: the one to draw.  step: where to draw a line.
    Raises InputError if that allocator has no run that records budgets.
    """
    groups = by_allocator(runs)
    if allocator not in groups:
        raise InputError(f"there is no run of {allocator!r} among {', '.join(groups)}")
    group = groups[allocator]
    last = max((record.step for record in _with_bins({allocator: group})), default=0)
    if not last:
        raise InputError("no run records its budgets by pass rate; nothing to draw yet")
    steps, prompts, rollouts = _blocks_of_bins(group, last)
    mean = np.divide(rollouts, prompts, out=np.full(prompts.shape, np.nan), where=prompts > 0)
    ticks = [power for power in _POWERS[:10] if power <= np.nanmax(mean)]
    figure = go.Figure(
        go.Heatmap(
            z=np.log2(mean.T),
            x=steps,
            y=BIN_TICKS,
            customdata=np.stack([mean.T, prompts.T], axis=-1),
            colorscale="Cividis",
            colorbar=colour_bar(
                "rollouts per prompt",
                tickvals=np.log2(ticks),
                ticktext=[str(power) for power in ticks],
            ),
            hovertemplate=(
                "step %{x:.0f}, pass rate %{y}<br>%{customdata[0]:.1f} rollouts per prompt, "
                "%{customdata[1]:,} prompts<extra></extra>"
            ),
        )
    )
    if step is not None:
        figure.add_vline(x=step, line={"color": "#d55e00", "width": 2})
    figure.update_xaxes(title="step (policy updates)", showgrid=False)
    figure.update_yaxes(title="estimated pass rate", type="category", showgrid=False)
    title = f"Budgets of {label(allocator)} over time"
    return lay_out(figure, title, height=430, subtitle=weighting_of(groups))


def _blocks_of_bins(runs: Sequence[Run], last: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sum the bins over blocks of steps: (blocks,) middles, (blocks, 13) prompts and rollouts."""
    block = block_length(last)
    blocks = (last - 1) // block + 1
    total = np.zeros((2, blocks, len(PASS_RATE_BINS)))
    for run in runs:
        for record in run.steps:
            if record.bins is not None:
                total[:, (record.step - 1) // block] += (
                    record.bins["prompts"],
                    record.bins["rollouts"],
                )
    middles: FloatArray = np.arange(blocks, dtype=np.float64) * block + (block + 1) / 2
    return middles, total[0], total[1]
