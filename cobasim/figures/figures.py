"""Records and scores -> plotly figures; pure functions, nothing is shown or written here.

Each allocator has one colour, marker and dash everywhere (Okabe and Ito's palette, told apart
under colour blindness); an oracle has the colour of its allocator, dashed.  Backgrounds are
transparent and texts of a middle grey, so that figures read on light and dark pages alike.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.errors import InputError
from cobasim.records import PASS_RATE_BINS, Run, columns
from cobasim.scores import (
    ORACLE_PREFIX,
    Interval,
    Row,
    accuracy_curve,
    is_oracle,
    t_factor,
    transition_counts,
    transition_shares,
)

Array = NDArray[np.float64]

STYLES: Final[dict[str, tuple[str, str]]] = {
    "uniform": ("#8c8c8c", "circle"),
    "knapsack": ("#e69f00", "square"),
    "fixed-exploit": ("#cc79a7", "triangle-down"),
    "fixed-explore": ("#56b4e9", "triangle-up"),
    "fixed": ("#b8a900", "hexagon"),
    "linear-decay": ("#009e73", "diamond"),
    "coba": ("#d55e00", "star"),
    "coba-explore-first": ("#0072b2", "cross"),
    "coba-released": ("#8c6bd1", "x"),
}
"""Colour and marker of each known allocator; black and yellow of the palette are replaced by
grey and a darker yellow, which show on both backgrounds."""

_SPARE_COLOURS: Final = ("#b0724a", "#4b9c9c", "#a34e5c", "#6c8a3c", "#5f7dbb")
_SPARE_MARKERS: Final = ("pentagon", "hourglass", "bowtie", "star-square", "diamond-tall")

TEXT: Final = "#7f8590"
GRID: Final = "rgba(128,128,128,0.22)"
AXIS: Final = "rgba(128,128,128,0.55)"

CLOUDED: Final = 8
"""With more allocators than this, oracles are hidden until clicked in the legend."""

_MAX_POINTS: Final = 150


def colour_of(allocator: str) -> str:
    """Return the colour of an allocator; a name without one gets the same spare each time."""
    return _style(allocator)[0]


def marker_of(allocator: str) -> str:
    """Return the plotly marker symbol of an allocator."""
    return _style(allocator)[1]


def _style(allocator: str) -> tuple[str, str]:
    name = allocator.removeprefix(ORACLE_PREFIX)
    if name in STYLES:
        return STYLES[name]
    number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest())
    spare = len(_SPARE_COLOURS)
    return _SPARE_COLOURS[number % spare], _SPARE_MARKERS[number // spare % len(_SPARE_MARKERS)]


def faint(colour: str, opacity: float) -> str:
    """Return a colour ``#rrggbb`` with an opacity in [0, 1]."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def label(text: str) -> str:
    """Escape a name from outside: plotly reads some HTML in labels."""
    return html.escape(text, quote=False)


# --- grouping --------------------------------------------------------------------------------


def _by_allocator(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Group runs of one weighting: known allocators in the palette's order, oracles last."""
    groups: dict[str, list[Run]] = {}
    weightings: set[str] = set()
    for run in runs:
        groups.setdefault(run.header.allocator, []).append(run)
        weightings.add(run.header.weighting)
    if not groups:
        raise InputError("there are no runs to draw; give at least one")
    if len(weightings) > 1:
        names = ", ".join(sorted(weightings))
        raise InputError(f"runs have the weightings {names}; draw one weighting per figure")
    known = list(STYLES)

    def place(name: str) -> tuple[bool, int, str]:
        plain = name.removeprefix(ORACLE_PREFIX)
        return is_oracle(name), known.index(plain) if plain in known else len(known), name

    return {
        name: sorted(groups[name], key=lambda run: run.header.seed)
        for name in sorted(groups, key=place)
    }


def _weighting(groups: Mapping[str, Sequence[Run]]) -> str:
    name = next(iter(groups.values()))[0].header.weighting
    return f"weighted per {label(name)}"


def _seeds(groups: Mapping[str, Sequence[Run]]) -> str:
    counts = {len(runs) for runs in groups.values()}
    low, high = min(counts), max(counts)
    if high == 1:
        return "one seed"
    return f"{high} seeds" if low == high else f"{low} to {high} seeds"


def _band(values: Array) -> tuple[Array, Array]:
    """Mean and half width of the 95 % interval over rows of (seeds, points); NaN = not there.

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


def _on_grid(curves: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Put (x, y) curves on the union of their x: (points,) and (curves, points), NaN beyond."""
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    rows = [np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in curves]
    return grid, np.array(rows)


def _step_series(runs: Sequence[Run], name: str) -> tuple[Array, Array, int] | None:
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
    block = -(-last // _MAX_POINTS) if last else 1
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


def lay_out(figure: go.Figure, title: str, height: int = 460) -> go.Figure:
    """Give a figure the house's margins, colours and legend; returns it."""
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left", "xref": "paper", "font": {"size": 16}},
        height=height,
        margin={"l": 64, "r": 16, "t": 56, "b": 56},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT, "size": 13},
        hovermode="closest",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": AXIS, "activecolor": TEXT},
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0, "xanchor": "left"},
    )
    axes = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": AXIS,
        "showline": True,
        "automargin": True,
        "title_font_size": 13,
    }
    figure.update_xaxes(**axes)
    figure.update_yaxes(**axes)
    figure.update_annotations(font_size=14)
    return figure


def _add_curve(
    figure: go.Figure,
    name: str,
    x: ArrayLike,
    mean: Array,
    half: Array,
    *,
    hover: str,
    hidden: bool,
    markers: bool,
) -> None:
    """Add one allocator's mean curve with its band; both go with one legend entry."""
    colour, marker = _style(name)
    visible = "legendonly" if hidden else True
    points = np.asarray(x)
    inside = np.isfinite(half)
    if inside.any():
        figure.add_trace(
            go.Scatter(
                x=np.concatenate([points[inside], points[inside][::-1]]),
                y=np.concatenate([(mean + half)[inside], (mean - half)[inside][::-1]]),
                mode="lines",
                line={"width": 0},
                fill="toself",
                fillcolor=faint(colour, 0.07 if is_oracle(name) else 0.12),
                hoverinfo="skip",
                legendgroup=name,
                showlegend=False,
                visible=visible,
            )
        )
    figure.add_trace(
        go.Scatter(
            x=points,
            y=mean,
            customdata=half,
            name=label(name),
            mode="lines+markers" if markers else "lines",
            line={"color": colour, "width": 2, "dash": "dash" if is_oracle(name) else "solid"},
            marker={"symbol": marker, "size": 7},
            legendgroup=name,
            visible=visible,
            hovertemplate=f"<b>{label(name)}</b><br>{hover}<extra></extra>",
        )
    )


def _curves(
    groups: Mapping[str, Sequence[Run]],
    series: Callable[[Sequence[Run]], tuple[Array, Array] | None],
    *,
    scale: float,
    hover: str,
    missing: str,
    markers: bool,
) -> go.Figure:
    """Draw one curve per allocator from ``series``, which gives x and (seeds, points) values."""
    found = {name: data for name, runs in groups.items() if (data := series(runs)) is not None}
    if not found:
        raise InputError(missing)
    figure = go.Figure()
    for name, (x, values) in found.items():
        mean, half = _band(scale * values)
        hidden = is_oracle(name) and len(found) > CLOUDED
        _add_curve(figure, name, x, mean, half, hover=hover, hidden=hidden, markers=markers)
    return figure


_KEY_NAMES: Final = {"heldout": "Held-out", "hard": "Hard-set", "pool": "Training-pool"}


def accuracy(runs: Iterable[Run], key: str = "heldout") -> go.Figure:
    """Draw accuracy against cumulative rollouts: mean over seeds with 95 % bands.

    runs: of one weighting.  key: which evaluation (``heldout``, ``hard``, ``pool``, ...).
    Raises ValueError for no runs, several weightings, or if ``key`` was never evaluated.
    """
    groups = _by_allocator(runs)

    def series(group: Sequence[Run]) -> tuple[Array, Array] | None:
        curves = [curve for run in group if (curve := accuracy_curve(run, key))[0].size]
        return _on_grid(curves) if curves else None

    kind = _KEY_NAMES.get(key, label(key))
    figure = _curves(
        groups,
        series,
        scale=100,
        hover="%{y:.2f} % ± %{customdata:.2f}<br>at %{x:,.0f} rollouts",
        missing=f"no run has an evaluation of {key!r}; nothing to draw yet",
        markers=True,
    )
    figure.update_xaxes(title="rollouts sampled so far")
    figure.update_yaxes(title=f"{kind.lower()} accuracy (%)")
    return lay_out(figure, f"{kind} accuracy, {_weighting(groups)} ({_seeds(groups)})")


def difference_to_baseline(
    runs: Iterable[Run], baseline: str = "uniform", key: str = "heldout"
) -> go.Figure:
    """Draw accuracy minus the baseline's of the same seed at equal rollouts, with 95 % bands.

    runs: of one weighting, the baseline's among them.  Raises ValueError as ``accuracy``, and
    if no other allocator shares a seed with the baseline.
    """
    groups = _by_allocator(runs)
    reference = {run.header.seed: accuracy_curve(run, key) for run in groups.get(baseline, [])}
    if not reference:
        raise InputError(f"there is no run of the baseline {baseline!r} to compare with")

    def paired(run: Run) -> tuple[Array, Array] | None:
        x, y = accuracy_curve(run, key)
        base_x, base_y = reference.get(run.header.seed, (x[:0], y[:0]))
        if not x.size or not base_x.size:
            return None
        grid, both = _on_grid([(x, y), (base_x, base_y)])
        difference = both[0] - both[1]
        known = np.isfinite(difference)
        return grid[known], difference[known]

    def series(group: Sequence[Run]) -> tuple[Array, Array] | None:
        if group[0].header.allocator == baseline:
            return None
        curves = [curve for run in group if (curve := paired(run)) is not None and curve[0].size]
        return _on_grid(curves) if curves else None

    figure = _curves(
        groups,
        series,
        scale=100,
        hover="%{y:+.2f} ± %{customdata:.2f} points<br>at %{x:,.0f} rollouts",
        missing=f"no other allocator shares an evaluated seed with {baseline!r}",
        markers=True,
    )
    figure.add_hline(y=0, line={"color": colour_of(baseline), "width": 2})
    kind = _KEY_NAMES.get(key, label(key))
    name = label(baseline)
    figure.update_xaxes(title="rollouts sampled so far")
    figure.update_yaxes(title=f"minus {name} (percentage points)")
    return lay_out(figure, f"{kind} accuracy minus {name}'s, {_weighting(groups)}")


def _per_step(
    runs: Iterable[Run], name: str, *, scale: float, hover: str, axis: str, title: str, missing: str
) -> go.Figure:
    groups = _by_allocator(runs)
    blocks = [1]

    def series(group: Sequence[Run]) -> tuple[Array, Array] | None:
        found = _step_series(group, name)
        if found is None:
            return None
        blocks.append(found[2])
        return found[0], found[1]

    figure = _curves(groups, series, scale=scale, hover=hover, missing=missing, markers=False)
    note = f", means of {max(blocks)}" if max(blocks) > 1 else ""
    figure.update_xaxes(title=f"step (policy updates{note})")
    figure.update_yaxes(title=axis)
    return lay_out(figure, f"{title}, {_weighting(groups)}")


def alpha_over_time(runs: Iterable[Run]) -> go.Figure:
    """Draw the first shape of the preference density over steps (Figure 5 of arXiv 2602.03048).

    runs: of one weighting.  Raises ValueError if no allocator among them has a shape.
    """
    return _per_step(
        runs,
        "alpha",
        scale=1,
        hover="alpha %{y:.2f} at step %{x:.0f}",
        axis="alpha (high = exploit, low = explore)",
        title="Alpha over time",
        missing="no run records an alpha: none of its allocators has a preference density",
    )


def effective_gradients(runs: Iterable[Run]) -> go.Figure:
    """Draw the share of groups with both outcomes, that is with a gradient, over steps.

    runs: of one weighting.  Raises ValueError if no run records it.
    """
    return _per_step(
        runs,
        "effective_ratio",
        scale=100,
        hover="%{y:.1f} % at step %{x:.0f}",
        axis="groups with both outcomes (%)",
        title="Effective gradients",
        missing="no run records the share of groups with both outcomes",
    )


def budgets_by_pass_rate(
    runs: Iterable[Run], steps: Sequence[int] | None = None, window: int | None = None
) -> go.Figure:
    """Draw mean rollouts per prompt by estimated pass rate (Figure 4 of arXiv 2602.03048).

    runs: of one weighting.  steps: one panel each (default: early, middle and late in the run).
    window: each panel pools the records within this many steps of its step, over all seeds
    (default: a 25th of the run).  Raises ValueError if there is nothing at those steps.
    """
    groups = _by_allocator(runs)
    recorded = sorted(
        {step.step for group in groups.values() for run in group for step in run.steps if step.bins}
    )
    if not recorded:
        raise InputError("no run records its budgets by pass rate; nothing to draw yet")
    first, last = recorded[0], recorded[-1]
    reach = max(1, (last - first) // 25) if window is None else window
    if steps is None:
        # early means after the first epoch: before it most prompts are unseen, and budgets uniform
        first = min(
            (
                step.step
                for group in groups.values()
                for run in group
                for step in run.steps
                if step.bins and 2 * step.bins["prompts"][-1] < sum(step.bins["prompts"])
            ),
            default=first,
        )
        middle = (first + last) // 2
        steps = sorted({min(first + reach, middle), middle, max(last - reach, middle)})
    if not steps:
        raise InputError("steps is empty; name at least one step to draw")
    titles = [f"around step {step}" for step in steps]
    figure = make_subplots(
        rows=1, cols=len(steps), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.03
    )
    positions = np.arange(len(PASS_RATE_BINS))
    labelled: set[str] = set()
    for column, centre in enumerate(steps, start=1):
        for name, group in groups.items():
            prompts, rollouts = _pooled_bins(group, centre - reach, centre + reach)
            if not prompts.sum():
                continue
            mean = np.divide(rollouts, prompts, out=np.full(13, np.nan), where=prompts > 0)
            colour, marker = _style(name)
            hidden = is_oracle(name) and len(groups) > CLOUDED
            figure.add_trace(
                go.Scatter(
                    x=positions,
                    y=mean,
                    customdata=np.column_stack([prompts / prompts.sum() * 100]),
                    text=PASS_RATE_BINS,
                    name=label(name),
                    legendgroup=name,
                    showlegend=name not in labelled,
                    visible="legendonly" if hidden else True,
                    mode="lines+markers",
                    line={"color": colour, "dash": "dash" if is_oracle(name) else "solid"},
                    marker={"symbol": marker, "size": 7},
                    hovertemplate=(
                        f"<b>{label(name)}</b><br>pass rate %{{text}}: %{{y:.1f}} rollouts a "
                        "prompt<br>%{customdata[0]:.1f} % of the prompts<extra></extra>"
                    ),
                ),
                row=1,
                col=column,
            )
            labelled.add(name)
    if not labelled:
        raise InputError(
            f"no budgets were recorded near the steps {list(steps)}; "
            f"records run from step {first} to {last}"
        )
    figure.update_xaxes(
        title="estimated pass rate",
        tickvals=positions,
        ticktext=["0", *(f"≤{high / 10:.1f}" for high in range(1, 10)), "<1", "1", "unseen"],
        tickangle=-90,
        range=[-0.6, len(PASS_RATE_BINS) - 0.4],
    )
    powers = [2**power for power in range(11)]
    figure.update_yaxes(type="log", tickvals=powers, ticktext=[str(power) for power in powers])
    figure.update_yaxes(title="rollouts per prompt (log scale)", col=1)
    title = f"Budgets by estimated pass rate, {_weighting(groups)}"
    return _legend_below(lay_out(figure, title, height=480), -0.36, top=80)


def _legend_below(figure: go.Figure, y: float, top: int) -> go.Figure:
    figure.update_layout(legend={"y": y}, margin={"t": top})
    return figure


def _pooled_bins(runs: Sequence[Run], first: int, last: int) -> tuple[Array, Array]:
    """Sum prompts and rollouts per bin, (13,) each, over the records of first..last."""
    total = np.zeros((2, len(PASS_RATE_BINS)))
    for run in runs:
        for step in run.steps:
            if step.bins is not None and first <= step.step <= last:
                total += (step.bins["prompts"], step.bins["rollouts"])
    return total[0], total[1]


def transition_matrices(runs: Iterable[Run], columns: int = 3) -> go.Figure:
    """Draw where prompts of each difficulty class ended, one heatmap per allocator.

    Rows of a heatmap: class at step 0; columns: class at the last evaluation; shares of the row,
    seeds pooled (Figure 7 of arXiv 2602.03048).  runs: of one weighting; columns: heatmaps side
    by side.  Raises ValueError if no run has transitions.
    """
    groups = _by_allocator(runs)
    counts: dict[str, NDArray[np.int64]] = {}
    for name, group in groups.items():
        found = [table for run in group if (table := transition_counts(run)) is not None]
        if found:
            counts[name] = np.sum(found, axis=0)
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
        shares = 100 * transition_shares(table)
        figure.add_trace(
            go.Heatmap(
                z=shares,
                x=DIFFICULTY_CLASSES,
                y=DIFFICULTY_CLASSES,
                zmin=0,
                zmax=100,
                text=[["" if np.isnan(v) else f"{v:.0f}" for v in row] for row in shares],
                texttemplate="%{text}",
                customdata=table,
                colorscale="Cividis",
                showscale=number == 0,
                colorbar={
                    "title": {"text": "share of the row (%)", "side": "right"},
                    "thickness": 12,
                    "lenmode": "pixels",
                    "len": 230,
                    "y": 1,
                    "yanchor": "top",
                    "outlinewidth": 0,
                },
                xgap=1,
                ygap=1,
                hovertemplate=(
                    "from %{y} to %{x}<br>%{z:.1f} % (%{customdata:,} prompts)<extra></extra>"
                ),
            ),
            row=number // columns + 1,
            col=number % columns + 1,
        )
    lay_out(figure, f"Difficulty classes, first to last, {_weighting(groups)}", height)
    figure.update_yaxes(autorange="reversed", showgrid=False, showline=False)
    figure.update_xaxes(showgrid=False, showline=False, tickangle=-45)
    figure.update_yaxes(title_text="class at step 0", col=1)
    for column in range(1, columns + 1):  # the lowest heatmap of each column
        lowest = (len(counts) - column) // columns + 1
        figure.update_xaxes(title_text="class now", showticklabels=True, row=lowest, col=column)
    return figure.update_layout(margin={"t": 84})


def budget_heatmap(runs: Iterable[Run], allocator: str, step: int | None = None) -> go.Figure:
    """Draw mean rollouts per prompt over steps (x) and estimated pass rates (y), seeds pooled.

    runs: of one weighting.  allocator: the one to draw.  step: where to draw a line.
    Raises ValueError if that allocator has no run that records budgets.
    """
    groups = _by_allocator(runs)
    if allocator not in groups:
        raise InputError(f"there is no run of {allocator!r} among {', '.join(groups)}")
    group = groups[allocator]
    last = max((item.step for run in group for item in run.steps if item.bins), default=0)
    if not last:
        raise InputError("no run records its budgets by pass rate; nothing to draw yet")
    block = -(-last // _MAX_POINTS)
    blocks = (last - 1) // block + 1
    total = np.zeros((2, blocks, len(PASS_RATE_BINS)))
    for run in group:
        for item in run.steps:
            if item.bins is not None:
                total[:, (item.step - 1) // block] += (item.bins["prompts"], item.bins["rollouts"])
    mean = np.divide(total[1], total[0], out=np.full(total[0].shape, np.nan), where=total[0] > 0)
    ticks = [value for value in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if value <= np.nanmax(mean)]
    figure = go.Figure(
        go.Heatmap(
            z=np.log2(mean.T),
            x=np.arange(blocks) * block + (block + 1) / 2,
            y=["0", *(f"≤{high / 10:.1f}" for high in range(1, 10)), "<1", "1", "unseen"],
            customdata=np.stack([mean.T, total[0].T], axis=-1),
            colorscale="Cividis",
            colorbar={
                "title": {"text": "rollouts per prompt", "side": "right"},
                "tickvals": np.log2(ticks),
                "ticktext": [str(value) for value in ticks],
                "thickness": 12,
                "outlinewidth": 0,
            },
            hovertemplate=(
                "step %{x:.0f}, pass rate %{y}<br>%{customdata[0]:.1f} rollouts a prompt, "
                "%{customdata[1]:,} prompts<extra></extra>"
            ),
        )
    )
    if step is not None:
        figure.add_vline(x=step, line={"color": "#d55e00", "width": 2})
    figure.update_xaxes(title="step (policy updates)", showgrid=False)
    figure.update_yaxes(title="estimated pass rate", type="category", showgrid=False)
    title = f"Budgets of {label(allocator)} over time, {_weighting(groups)}"
    return lay_out(figure, title, height=430)


_AGAINST: Final = {"step": "step (policy updates)", "rollouts": "rollouts sampled so far"}


def run_curves(
    runs: Mapping[str, Run],
    column: str,
    *,
    against: str = "step",
    title: str | None = None,
    axis: str | None = None,
    scale: float = 1.0,
) -> go.Figure:
    """Draw one column of ``records.columns`` for each run, one line a run, nothing pooled.

    runs: label -> run, of any source or weighting.  against: ``step`` or ``rollouts``.
    Runs of one allocator have its colour and differ in dash.  Raises ValueError if no run has it.
    """
    figure = go.Figure()
    used: dict[str, int] = {}
    dashes = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
    for name, run in runs.items():
        table = columns(run)
        values = table.get(column)
        known = np.isfinite(values) if values is not None else np.zeros(0, dtype=bool)
        if values is None or not known.any():
            continue
        allocator = run.header.allocator
        number = used[allocator] = used.get(allocator, -1) + 1
        colour, marker = _style(allocator)
        sparse = int(known.sum()) <= 60
        figure.add_trace(
            go.Scatter(
                x=table[against][known],
                y=scale * values[known],
                name=label(name),
                mode="lines+markers" if sparse else "lines",
                line={"color": colour, "width": 2, "dash": dashes[number % len(dashes)]},
                marker={"symbol": marker, "size": 6},
                hovertemplate=f"<b>{label(name)}</b><br>%{{y:.4g}} at %{{x:,.0f}}<extra></extra>",
            )
        )
    if not used:
        raise InputError(f"no run records {column!r}; nothing to draw yet")
    figure.update_xaxes(title=_AGAINST[against])
    figure.update_yaxes(title=axis or label(column))
    figure.update_layout(showlegend=True)
    return lay_out(figure, title or label(column), height=380)


PHASES: Final = {
    "allocate": ("allocation", "#d55e00"),
    "generate": ("generation", "#0072b2"),
    "reward": ("rewards", "#cc79a7"),
    "train": ("forward and backward", "#009e73"),
    "sync": ("weight sync", "#e69f00"),
}


def phase_seconds(run: Run) -> go.Figure:
    """Draw the seconds of each phase of a real run's steps, stacked.

    Raises ValueError for a run without times, such as a simulation.
    """
    table = columns(run)
    series = {name: table.get(f"learner.seconds_{name}") for name in PHASES}
    if table["allocate_ms"].size:
        series["allocate"] = table["allocate_ms"] / 1e3
    if all(series[name] is None for name in ("generate", "train")):
        raise InputError("this run records no times of its phases")
    figure = go.Figure()
    for name, values in series.items():
        if values is None:
            continue
        known = np.isfinite(values)
        text, colour = PHASES[name]
        figure.add_trace(
            go.Scatter(
                x=table["step"][known],
                y=values[known],
                name=text,
                mode="lines",
                stackgroup="seconds",
                line={"width": 0.5, "color": colour},
                fillcolor=faint(colour, 0.6),
                hovertemplate=f"{text}: %{{y:.3f}} s<extra></extra>",
            )
        )
    figure.update_layout(hovermode="x")
    figure.update_xaxes(title="step (policy updates)")
    figure.update_yaxes(title="seconds")
    return lay_out(figure, "Where the time of a step goes", height=380)


def final_differences(rows: Iterable[Row]) -> go.Figure:
    """Draw the final held-out difference to the baseline with 95 % intervals, a forest plot.

    One panel per weighting, side by side; intervals are paired by seed.  Raises ValueError if
    no row has a difference.
    """
    table = [row for row in rows if row.heldout_difference is not None]
    if not table:
        raise InputError("no allocator has a difference to the baseline; nothing to draw")
    weightings = list(dict.fromkeys(row.weighting for row in table))
    names = list(dict.fromkeys(row.allocator for row in table))
    figure = make_subplots(
        rows=1,
        cols=len(weightings),
        shared_xaxes="all",
        shared_yaxes=True,
        subplot_titles=[f"weighted per {label(name)}" for name in weightings],
        horizontal_spacing=0.04,
    )
    for row in table:
        interval = row.heldout_difference
        assert interval is not None
        colour, marker = _style(row.allocator)
        figure.add_trace(
            _forest_point(row, interval, colour, marker),
            row=1,
            col=weightings.index(row.weighting) + 1,
        )
    figure.add_vline(x=0, line={"color": AXIS, "width": 1.5})
    figure.update_xaxes(title="percentage points", zeroline=False)
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=[label(name) for name in reversed(names)],
        range=[-0.6, len(names) - 0.4],
    )
    lay_out(figure, "Final held-out accuracy minus the baseline's", 190 + 34 * len(names))
    return figure.update_layout(showlegend=False, margin={"t": 84})


def _forest_point(row: Row, interval: Interval, colour: str, marker: str) -> Any:
    known = interval.low is not None and interval.high is not None
    half = 100 * (interval.high - interval.mean) if interval.high is not None else 0.0
    spread = f"± {half:.2f} (95 %)" if known else "(one seed: no interval)"
    symbol = f"{marker}-open" if row.oracle else marker
    return go.Scatter(
        x=[100 * interval.mean],
        y=[label(row.allocator)],
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 11},
        error_x={"type": "data", "array": [half], "color": colour, "thickness": 2, "width": 5}
        if known
        else None,
        hovertemplate=(
            f"<b>{label(row.allocator)}</b><br>%{{x:+.2f}} {spread} points, "
            f"{interval.n} seeds<extra></extra>"
        ),
    )
