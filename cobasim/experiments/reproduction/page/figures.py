"""Figures: the paper's numbers next to the simulation's, and the simulated reference runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim import figures
from cobasim.errors import InputError
from cobasim.experiments.reproduction import paper
from cobasim.experiments.reproduction.page import cells
from cobasim.experiments.reproduction.paper import COBA, MIRRORED, REFERENCE, Case
from cobasim.experiments.reproduction.plan import SPENDERS
from cobasim.experiments.reproduction.rows import Combination, SimulatedRuns
from cobasim.experiments.reproduction.tables import stages
from cobasim.records import Run
from cobasim.report import draw, section

Cells = Mapping[Case, tuple[float, float]]
"""Case -> (number, half of its interval; 0 without one)."""


def beside_figure(result: Mapping[str, Any], combinations: Sequence[Combination]) -> go.Figure:
    """The paper's numbers and the simulation's with 95 % intervals, one panel each, own scales.

    Accuracies are drawn minus the mean of their group in the same seed.
    """
    centre = result["unit"] == paper.ACCURACY
    cases = [(row["group"], row["entry"]) for row in result["paper"]]
    several = len({group for group, _ in cases}) > 1
    names = {case: ", ".join(case) if several else case[1] for case in cases}
    column = "centred" if centre else "value"
    panels: dict[str, Cells] = {
        "paper": {(row["group"], row["entry"]): (row[column], 0.0) for row in result["paper"]}
    }
    for world, weighting in combinations:
        panels[f"{world}<br>per {weighting}"] = {
            (cell["group"], cell["entry"]): _with_half(cell["centred"] if centre else cell)
            for cell in result["simulated"][world][weighting]["cells"]
        }
    figure = make_subplots(
        rows=1, cols=len(panels), shared_yaxes=True, subplot_titles=list(panels),
        horizontal_spacing=0.02,
    )  # fmt: skip
    for place, panel in enumerate(panels.values()):
        figure.add_trace(_points(panel, names), row=1, col=place + 1)
    figure.update_yaxes(autorange="reversed", type="category")
    figures.lay_out(figure, result["title"], height=190 + 26 * len(names))
    return figure.update_layout(margin={"t": 100})


def _with_half(interval: Mapping[str, Any]) -> tuple[float, float]:
    high = interval["high"]
    return interval["mean"], 0.0 if high is None else high - interval["mean"]


def _points(panel: Cells, names: Mapping[Case, str]) -> go.Scatter:
    known = [case for case in names if case in panel]
    halves = [panel[case][1] for case in known]
    allocators = [_allocator(case) for case in known]
    return go.Scatter(
        x=[panel[case][0] for case in known],
        y=[names[case] for case in known],
        error_x={"type": "data", "array": halves, "color": figures.AXIS},
        mode="markers",
        marker={
            "color": [figures.colour_of(name) for name in allocators],
            "symbol": [figures.marker_of(name) for name in allocators],
            "size": 9,
        },
        customdata=halves,
        hovertemplate="%{y}: %{x:.2f} ± %{customdata:.2f}<extra></extra>",
        showlegend=False,
    )


def _allocator(case: Case) -> str:
    """The allocator whose style marks a case."""
    return next((text for text in case[::-1] if text in figures.STYLES), COBA)


@dataclass(frozen=True)
class RunFigure:
    """A figure of the thinned reference runs, drawn for each world and weighting."""

    title: str
    caption: str
    allocators: tuple[str, ...]
    plot: Callable[[Sequence[Run]], go.Figure]
    wide: bool = True


def _budgets(runs: Sequence[Run]) -> go.Figure:
    steps = list(dict.fromkeys(step.step for step in stages(runs[-1])))
    return figures.budgets_by_pass_rate(runs, steps=steps, window=0)


BUDGETS = RunFigure(
    "Figure 4: budgets by pass rate",
    "Mean rollouts per prompt by estimated pass rate: early, middle and late.",
    SPENDERS,
    _budgets,
)
ALPHA = RunFigure(
    "Figure 5: alpha over steps",
    "For coba, and for its mirror image that explores first.",
    (COBA, MIRRORED),
    figures.alpha_over_time,
    wide=False,
)
TRANSITIONS = RunFigure(
    "Figure 7: transitions between difficulty classes",
    "Of the training prompts that began in a class (row), the share that ended in each class "
    "(column), in %.",
    SPENDERS,
    figures.transition_matrices,
)


def run_figures(kind: RunFigure, table: Mapping[Combination, SimulatedRuns]) -> str:
    """A section with one figure for each world and weighting that recorded something to show."""
    drawn = []
    for combination, simulated in table.items():
        runs = [run for name in kind.allocators for run in simulated.records(REFERENCE, name)]
        try:
            figure = kind.plot(runs)
        except InputError:  # nothing of this kind was recorded
            continue
        drawn.append((cells.title(combination), draw(figure)))
    return section(kind.title, kind.caption, drawn, wide=kind.wide) if drawn else ""
