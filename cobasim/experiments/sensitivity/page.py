"""The page of a sensitivity study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from cobasim.arrays import FloatArray
from cobasim.experiments import frame
from cobasim.experiments.sensitivity.analysis import quarter_of
from cobasim.experiments.sensitivity.design import Design
from cobasim.figures import label, sweep_heatmap, tornado
from cobasim.report import drawing
from cobasim.scores import with_differences

NAME = "sensitivity"
REPORT, NUMBERS = f"{NAME}.html", f"{NAME}.json"


def store(
    design: Design,
    rows: Sequence[Mapping[str, Any]],
    result: Mapping[str, Any],
    out: Path,
    *,
    command: str,
) -> list[Path]:
    """Write the self-contained page (HTML) and the numbers (JSON) below ``out``; their paths.

    Args:
        design, rows: the plan, and the rows of its sweep.
        result: what ``analyse`` made of them.
        out: the folder.
        command: what was run.
    """
    facts = {"method": design.method, "samples": design.size}
    runs = design.sweep.num_runs
    numbers = {
        **facts, "seed": design.seed, "runs": runs, **result,
        "box": [vars(parameter) for parameter in design.parameters],
    }  # fmt: skip
    settings = {
        **facts, "seed of the sample": design.seed, "runs": runs,
        **design.sweep.chosen, **design.sweep.settings,
    }  # fmt: skip
    parts = [drawing(figure) for figure in figures(design, rows, result)]
    return frame.store(
        out, NAME, numbers, frame.Page("Sensitivity", parts, settings), command=command
    )


def figures(
    design: Design, rows: Sequence[Mapping[str, Any]], result: Mapping[str, Any]
) -> list[go.Figure]:
    """A tornado for each weighting and allocator, and a heatmap of the two strongest settings."""
    table = with_differences(rows)
    shares = design.shares
    drawn = []
    axis = "mu*, points" if design.method == "morris" else "total index, share of the variance"
    for weighting, allocators in result["indices"].items():
        for allocator, metrics in allocators.items():
            if "minus_uniform" not in metrics:
                continue
            ranked = metrics["minus_uniform"]
            drawn.append(
                tornado(
                    [row["name"] for row in ranked],
                    [row["total"] for row in ranked],
                    [row["total_half"] for row in ranked],
                    f"What moves {label(allocator)} minus uniform, per {label(weighting)}",
                    axis,
                )
            )
            pair = ranked[0]["name"], ranked[1]["name"]
            binned = _with_quarters(design, table, shares, pair)
            drawn.append(sweep_heatmap(binned, *pair, "minus_uniform", weighting, allocator))
    return drawn


def _with_quarters(
    design: Design,
    table: Sequence[Mapping[str, Any]],
    shares: FloatArray,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Rows in which the named settings are texts: a value of a list, or a quarter of a range."""

    def texts(name: str) -> list[str]:
        column = design.names.index(name)
        parameter = design.parameters[column]
        if parameter.values:
            return [str(point[name]) for point in design.sweep.points]
        edges = [parameter.at(k / 4) for k in range(5)]
        return [
            f"{k + 1}: {edges[k]:.3g} to {edges[k + 1]:.3g}" for k in quarter_of(shares[:, column])
        ]

    columns = {name: texts(name) for name in names}
    return [
        {**row, **{name: column[row["point"]] for name, column in columns.items()}} for row in table
    ]
