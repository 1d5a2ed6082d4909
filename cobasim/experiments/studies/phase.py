"""The map: in which worlds does an allocator beat uniform beyond the noise?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim.experiments.studies.skeleton import (
    BOTH_WORLDS,
    Answer,
    Contrast,
    Options,
    Study,
    Table,
    against,
    signed,
    sweep,
)
from cobasim.figures import label, lay_out
from cobasim.runs.sweep import Sweep
from cobasim.scores import LEVEL, Rows, false_discovery, mean_interval, with_differences

Row = Mapping[str, Any]

NOISES: dict[str, dict[str, float]] = {
    "usual": {"noise": 10.0, "prompt_noise": 0.0},
    "rollout": {"noise": 40.0, "prompt_noise": 0.0},
    "prompt": {"noise": 10.0, "prompt_noise": 20.0},
}
"""Kinds of nuisance gradient. With 16 rollouts a prompt the last two are about equally strong; only
that of rollouts is averaged out by more rollouts of the same prompt."""

POPULATIONS = {"math": 0.30, "easy": 0.60, "hard": 0.10, "middling": 0.375}  # mean first pass rates
AXES = ("population", "transfer", "noise kind", "pool / batch")
KEY = ("world", "weighting", *AXES)


def plan(options: Options) -> dict[str, Sweep]:
    """The grid; quick takes the ends of the axes in the logistic world only."""
    batch = options.size.batch
    worlds = options.pick(BOTH_WORLDS[:1], BOTH_WORLDS)
    transfers = options.pick((0.2, 0.8), (0.1, 0.5, 0.9))
    visits = (4, 24)
    populations = options.pick(("math", "middling"), tuple(POPULATIONS), ("math",))
    grid = [
        [{"population": name} for name in populations],
        [{"transfer": value} for value in transfers],
        list(NOISES.values()),
        [{"num_prompts": batch * many} for many in visits],
    ]
    return {
        "phase": sweep(
            options,
            options.names("uniform", "knapsack", "coba"),
            worlds,
            *grid,
            seeds=min(options.size.seeds, 6),
            steps=min(options.size.steps, 100),
        )
    }


def placed(rows: Rows) -> list[dict[str, Any]]:
    """Rows with the axes of the map: the kind of noise, and batches to an epoch (pool / batch)."""
    kinds = {tuple(values.values()): name for name, values in NOISES.items()}
    found = []
    for row in with_differences(rows):
        batch = row["batch"]
        kind = kinds[row["noise"], row["prompt_noise"]]
        found.append({**row, "noise kind": kind, "pool / batch": row["num_prompts"] // batch})
    return found


def cells(rows: Rows) -> list[Contrast]:
    """Every cell of the map against uniform; p-values by Benjamini-Hochberg over all cells."""
    found = against(
        rows,
        "final_heldout",
        variant=lambda row: str(row["allocator"]),
        reference=lambda _: "uniform",
        within=KEY,
        correct=lambda p: p,
    )
    if not found:
        return []
    adjusted = false_discovery([one.p for one in found])
    return [replace(one, p=float(p)) for one, p in zip(found, adjusted, strict=True)]


def answer(rows: Rows) -> Answer:
    """The map, its averages, and how often each allocator is above or below uniform."""
    mine = placed(rows)
    found = cells(mine)
    tables = [_averages(mine)]
    figures = []
    for world, weighting in dict.fromkeys(one.group[:2] for one in found):
        part = [one for one in found if one.group[:2] == (world, weighting)]
        tables.append(_map_table(part, world, weighting))
        figures.append(_map(part, world, weighting))
    return Answer(_sentences(found), tables, figures, [asdict(one) for one in found])


def _sentences(found: Sequence[Contrast]) -> list[str]:
    lines = []
    keys = dict.fromkeys((*one.group[:2], one.what) for one in found)
    for world, weighting, name in keys:
        mine = [one for one in found if (*one.group[:2], one.what) == (world, weighting, name)]
        above = [one for one in mine if one.beyond and one.mean > 0]
        below = [one for one in mine if one.beyond and one.mean < 0]
        ends = max(mine, key=lambda one: one.mean), min(mine, key=lambda one: one.mean)
        shown = "; ".join(f"{text} {one.text} ({_case(one)})"
                          for text, one in zip(("most", "least"), ends, strict=True))  # fmt: skip
        lines.append(
            f"{world} world, loss weighted per {weighting}: {name} is above uniform beyond the "
            f"noise in {len(above)} of {len(mine)} cells, below in {len(below)}, inside the noise "
            f"in {len(mine) - len(above) - len(below)} ({mine[0].n} seeds, Benjamini-Hochberg at "
            f"{100 * LEVEL:g} % over {len(found)} cells); {shown} points."
        )
    return lines


def _case(one: Contrast) -> str:
    population, transfer, noise, visits = one.group[2:]
    return f"{population}, transfer {transfer}, {noise} noise, pool {visits} x batch"


def _averages(rows: Rows) -> Table:
    """Mean difference at each value of each axis, all else pooled; intervals over seeds."""
    lines = []
    keys = dict.fromkeys((row["world"], row["weighting"], row["allocator"]) for row in rows)
    for key in keys:
        mine = [
            row
            for row in rows
            if (row["world"], row["weighting"], row["allocator"]) == key
            and row["minus_uniform"] is not None
        ]
        for axis in AXES if mine else ():
            for value in dict.fromkeys(row[axis] for row in mine):
                by_seed: dict[int, list[float]] = {}
                for row in mine:
                    if row[axis] == value:
                        by_seed.setdefault(row["seed"], []).append(100 * row["minus_uniform"])
                one = mean_interval([float(np.mean(values)) for values in by_seed.values()])
                half = None if one.high is None else one.high - one.mean
                lines.append((*key, axis, str(value), signed(one.mean, half)))
    return Table(
        "Difference to uniform by each axis, all else pooled (points; 95 % over seeds)",
        ("world", "loss per", "allocator", "axis", "value", "minus uniform"),
        lines,
    )


def _columns(found: Sequence[Contrast], place: int) -> list[str]:
    return list(dict.fromkeys(one.group[place] for one in found))


def _map_table(found: Sequence[Contrast], world: str, weighting: str) -> Table:
    """Rows: population, noise, pool; columns: allocator and transfer; bold beyond the noise."""
    transfers, names = _columns(found, 3), list(dict.fromkeys(one.what for one in found))
    at = {(*one.group[2:], one.what): one for one in found}
    lines = []
    for population in _columns(found, 2):
        for noise in _columns(found, 4):
            for visits in _columns(found, 5):
                shown = []
                for name in names:
                    for transfer in transfers:
                        one = at[population, transfer, noise, visits, name]
                        shown.append(f"**{one.text}**" if one.beyond else one.text)
                lines.append((population, noise, f"{visits} x batch", *shown))
    return Table(
        f"{world} world, loss weighted per {weighting}: minus uniform, points (bold: beyond the "
        "noise)",
        ("first pass rates", "noise", "pool", *(f"{n}, transfer {t}" for n in names
                                                for t in transfers)),
        lines,
    )  # fmt: skip


def _map(found: Sequence[Contrast], world: str, weighting: str) -> go.Figure:
    """Small multiples: coloured cells are beyond the noise, blank ones with a dot are not."""
    names = list(dict.fromkeys(one.what for one in found))
    populations, transfers = _columns(found, 2), _columns(found, 3)
    places = [(noise, visits) for noise in _columns(found, 4) for visits in _columns(found, 5)]
    at = {(*one.group[2:], one.what): one for one in found}
    most = max(abs(one.mean) for one in found) or 1.0
    figure = make_subplots(
        len(names), len(populations), shared_xaxes=True, shared_yaxes=True,
        horizontal_spacing=0.015, vertical_spacing=0.09 / len(names) if len(names) > 1 else 0.0,
        subplot_titles=[
            f"{label(name)}: {label(p)}" for name in names for p in populations
        ],
    )  # fmt: skip
    for down, name in enumerate(names):
        for across, population in enumerate(populations):
            grid = [[at[population, t, n, v, name] for t in transfers] for n, v in places]
            figure.add_trace(
                go.Heatmap(
                    z=[[one.mean if one.beyond else None for one in line] for line in grid],
                    text=[[f"{one.mean:+.1f}" if one.beyond else "·" for one in line]
                          for line in grid],
                    customdata=[[[one.text, f"{one.p:.3f}"] for one in line] for line in grid],
                    x=[f"{t}" for t in transfers],
                    y=[f"{n} noise, pool {v} x" for n, v in places],
                    texttemplate="%{text}", hoverongaps=True, colorscale="RdBu",
                    zmin=-most, zmax=most, xgap=1, ygap=1,
                    showscale=down == 0 and across == 0,
                    colorbar={"thickness": 12, "outlinewidth": 0, "title": "points"},
                    hovertemplate=f"{label(name)}, {label(population)}, transfer %{{x}}, %{{y}}: "
                    "%{customdata[0]} points, p %{customdata[1]}<extra></extra>",
                ),
                row=down + 1, col=across + 1,
            )  # fmt: skip
            figure.add_trace(  # cells inside the noise: a dot, with their interval
                go.Scatter(
                    x=[t for line in grid for t, one in zip(transfers, line, strict=True)
                       if not one.beyond],
                    y=[f"{n} noise, pool {v} x" for (n, v), line in zip(places, grid, strict=True)
                       for one in line if not one.beyond],
                    mode="markers",
                    marker={"color": "rgba(128,128,128,0.6)", "size": 5, "symbol": "x-thin-open"},
                    customdata=[[one.text] for line in grid for one in line if not one.beyond],
                    hovertemplate="inside the noise: %{customdata[0]} points<extra></extra>",
                    showlegend=False,
                ),
                row=down + 1, col=across + 1,
            )  # fmt: skip
    title = (
        f"Minus uniform, points: {label(world)} world, loss weighted per {label(weighting)}"
        "<br><sup>coloured: beyond the noise (Benjamini-Hochberg, 5 %); crosses: inside it; "
        "pool in batches</sup>"
    )
    lay_out(figure, title, height=150 + len(names) * (60 + 24 * len(places)))
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
    for across in range(1, len(populations) + 1):
        figure.update_xaxes(title="transfer", row=len(names), col=across)
    figure.update_layout(margin={"t": 100})
    return figure


def batch_of(run: Any, loop: Any) -> dict[str, Any]:
    """The column ``batch``: prompts in a step."""
    return {"batch": loop.config.batch_size}


PHASE = Study(
    "phase",
    "Where does each allocator beat uniform: transfer, noise, staleness, weighting, pass rates?",
    answer,
    plan,
    measure=batch_of,
    notes=(
        "Read your own case off the map. First pass rates: math 0.30 on average, heavy at both "
        "ends; easy 0.60; hard 0.10; middling 0.375 with nothing at the ends. Transfer: how much "
        "of what a prompt teaches reaches the others. Noise: usual (10 per rollout), rollout (40 "
        "per rollout: more rollouts of the same prompt average it out), prompt (10 per rollout and "
        "20 per prompt, which they do not). Pool: batches to an epoch, that is how old the "
        "estimates are.",
    ),
)
