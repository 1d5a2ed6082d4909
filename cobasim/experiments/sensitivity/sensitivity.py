"""Global sensitivity: which settings matter, by Morris screening or Sobol indices (SALib).

A sample of the box of settings is a sweep; its table is turned into indices. Settings are shares in
[0, 1] of their ranges (of a range's logarithm where it is logarithmic), so an index speaks of these
distributions and no others.
"""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from SALib.analyze import morris as analyze_morris
from SALib.analyze import sobol as analyze_sobol
from SALib.sample import morris as sample_morris
from SALib.sample import sobol as sample_sobol

from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.figures import label, sweep_heatmap, tornado
from cobasim.records import write_atomically
from cobasim.report import document, drawing, provenance
from cobasim.runs.sweep import Parameter, Point, Sweep
from cobasim.scores import METRICS, mean_interval, with_differences

METHODS = ("morris", "sobol")
LEVELS = 4  # of a Morris trajectory

BOX = (
    "kappa=4:30", "gamma=2:40:log", "tau=1:64:log", "window=1:30:log:int", "low=0:4:int",
    "high=32:256:log:int", "total_budget=1024:8192:log:int", "estimator=last,window,posterior",
    "noise=1:60:log", "prompt_noise=0:30", "transfer=0.1:0.9", "learning_rate=4e-4:1e-2:log",
    "interference=0:1",
)  # fmt: skip
"""The default box, for M = 256: the allocator's knobs, the loop's, and the world's."""

REPORT, NUMBERS = "sensitivity.html", "sensitivity.json"


@dataclass(frozen=True)
class Index:
    """Indices of one setting.

    Attributes:
        name: the setting.
        main: Sobol: first-order index S1, the share of the variance that goes with this setting
            alone. Morris: mu, the mean elementary effect (its sign is the direction).
        total: Sobol: total index ST, interactions included. Morris: mu*, the mean absolute
            effect, in units of the metric over the setting's whole range.
        main_half, total_half: half widths of 95 % bootstrap intervals (Morris: of mu* only).
        spread: Morris: sigma, the spread of effects (interaction or curvature); Sobol: None.
    """

    name: str
    main: float
    main_half: float | None
    total: float
    total_half: float
    spread: float | None = None


def _problem(names: Sequence[str]) -> dict[str, Any]:
    return {"num_vars": len(names), "names": list(names), "bounds": [[0.0, 1.0]] * len(names)}


def sample(names: Sequence[str], method: str, size: int, seed: int) -> FloatArray:
    """Shares (points, settings) in [0, 1]: ``size`` trajectories, or a Saltelli design.

    Args:
        names: of the settings; at least two.
        method: "morris": size (D + 1) points; "sobol": size (D + 2) points, size a power of 2.
        size: N.
        seed: fixes the sample.

    Raises InputError for a size that is no power of 2 (sobol), or is below 2.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    if len(names) < 2:
        raise InputError("sensitivity needs at least two settings to vary")
    if size < 2 or (method == "sobol" and size & (size - 1)):
        raise InputError(
            f"samples must be at least 2, and a power of 2 for sobol, got {size}: try "
            f"{1 << max(1, size.bit_length())}"
        )
    problem = _problem(names)
    if method == "morris":
        found = sample_morris.sample(problem, size, num_levels=LEVELS, seed=seed)
    else:
        found = sample_sobol.sample(problem, size, calc_second_order=False, seed=seed)
    return np.asarray(found, dtype=np.float64)


def indices(
    names: Sequence[str], method: str, shares: FloatArray, values: FloatArray, *, seed: int = 0
) -> list[Index]:
    """Indices of each setting from the metric (points,) at ``shares`` of ``sample``; largest first.

    A metric that does not vary at all gives zeros.
    """
    problem = _problem(names)
    if np.ptp(values) == 0.0:
        return [Index(name, 0.0, 0.0, 0.0, 0.0) for name in names]
    quiet = contextlib.redirect_stdout(io.StringIO())
    with quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method == "morris":
            found = analyze_morris.analyze(
                problem, shares, values, num_levels=LEVELS, seed=seed, num_resamples=1000
            )
            rows = [
                Index(name, float(mu), None, float(star), float(half), float(sigma))
                for name, mu, star, half, sigma in zip(
                    names, found["mu"], found["mu_star"], found["mu_star_conf"], found["sigma"],
                    strict=True,
                )
            ]  # fmt: skip
        else:
            found = analyze_sobol.analyze(
                problem, values, calc_second_order=False, seed=seed, num_resamples=1000
            )
            rows = [
                Index(name, float(s1), float(c1), float(st), float(ct))
                for name, s1, c1, st, ct in zip(
                    names, found["S1"], found["S1_conf"], found["ST"], found["ST_conf"],
                    strict=True,
                )
            ]  # fmt: skip
    return sorted(rows, key=lambda row: -row.total)


@dataclass(frozen=True)
class Study:
    """A design: settings, method, and the sweep that evaluates it."""

    parameters: tuple[Parameter, ...]
    method: str
    size: int
    seed: int
    sweep: Sweep

    @property
    def names(self) -> list[str]:
        """Names of the settings."""
        return [parameter.name for parameter in self.parameters]

    @property
    def shares(self) -> FloatArray:
        """The design (points, settings)."""
        return sample(self.names, self.method, self.size, self.seed)


def plan(
    parameters: Sequence[Parameter],
    method: str,
    size: int,
    seed: int,
    *,
    preset: str,
    settings: Mapping[str, Any],
    chosen: Mapping[str, Any],
) -> Study:
    """The study of a box of settings. Raises InputError as ``sample`` and for unknown settings."""
    shares = sample([parameter.name for parameter in parameters], method, size, seed)
    points: list[Point] = [
        {one.name: one.at(float(share)) for one, share in zip(parameters, row, strict=True)}
        for row in shares
    ]
    sweep = Sweep(preset, dict(settings), dict(chosen), tuple(points))
    return Study(tuple(parameters), method, size, seed, sweep)


def values_of(
    rows: Sequence[Mapping[str, Any]], metric: str, weighting: str, allocator: str, points: int
) -> FloatArray:
    """The metric (points,), mean over seeds, in the units of ``METRICS``.

    Raises InputError if a point has none.
    """
    scale = METRICS[metric][1]
    total, count = np.zeros(points), np.zeros(points)
    for row in rows:
        if row["weighting"] == weighting and row["allocator"] == allocator:
            value = row.get(metric)
            if value is not None:
                total[row["point"]] += scale * value
                count[row["point"]] += 1
    if not count.all():
        raise InputError(
            f"{metric!r} of {allocator} per {weighting} is missing at {int((count == 0).sum())} "
            "points; is uniform among the allocators?"
        )
    return np.asarray(total / count)


def analyse(study: Study, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Indices of every metric, weighting and allocator, and the means by quarter of each setting.

    Returns plain values: {"indices": {weighting: {allocator: {metric: [row]}}}, "quarters": ...}.
    """
    table = with_differences(rows)
    shares = study.shares
    found: dict[str, Any] = {"indices": {}, "quarters": {}}
    for weighting in dict.fromkeys(row["weighting"] for row in table):
        for allocator in dict.fromkeys(row["allocator"] for row in table):
            for metric in ("final_heldout", "minus_uniform", "auc", "effective_ratio"):
                if metric == "minus_uniform" and allocator == "uniform":
                    continue
                values = values_of(table, metric, weighting, allocator, len(study.sweep.points))
                place = found["indices"].setdefault(weighting, {}).setdefault(allocator, {})
                place[metric] = [
                    vars(row)
                    for row in indices(study.names, study.method, shares, values, seed=study.seed)
                ]
                if metric == "minus_uniform":
                    quarters = found["quarters"].setdefault(weighting, {})
                    quarters[allocator] = _quarters(study, shares, values)
    return found


def _quarters(study: Study, shares: FloatArray, values: FloatArray) -> list[dict[str, Any]]:
    """Mean of the metric by quarter of each setting's range, everything else varying."""
    rows = []
    for column, parameter in enumerate(study.parameters):
        place = np.minimum((4 * shares[:, column]).astype(int), 3)
        cells = []
        for quarter in range(4):
            mine = values[place == quarter]
            if mine.size >= 2:
                one = mean_interval(mine)
                half = None if one.high is None else one.high - one.mean
                cells.append({"quarter": quarter, "mean": one.mean, "half": half, "n": one.n})
        rows.append(
            {
                "name": parameter.name,
                "from": parameter.at(0.0),
                "to": parameter.at(1.0),
                "cells": cells,
            }
        )
    return rows


def figures(
    study: Study, rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any]
) -> list[go.Figure]:
    """A tornado for each weighting and allocator, and heatmaps of the strongest pairs."""
    table = with_differences(rows)
    shares = study.shares
    drawn = []
    axis = "mu*, points" if study.method == "morris" else "total index, share of the variance"
    for weighting, allocators in found["indices"].items():
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
            first, second = ranked[0]["name"], ranked[1]["name"]
            drawn.append(_pair(study, table, shares, first, second, weighting, allocator))
    return drawn


def _pair(
    study: Study, table: Sequence[Mapping[str, Any]], shares: FloatArray,
    first: str, second: str, weighting: str, allocator: str,
) -> go.Figure:  # fmt: skip
    """Heatmap over quarters of two settings."""

    def binned(name: str) -> list[str]:
        column = study.names.index(name)
        parameter = study.parameters[column]
        if parameter.values:
            return [str(point[name]) for point in study.sweep.points]
        place = np.minimum((4 * shares[:, column]).astype(int), 3)
        edges = [parameter.at(k / 4) for k in range(5)]
        return [f"{k + 1}: {edges[k]:.3g} to {edges[k + 1]:.3g}" for k in place]

    columns = {name: binned(name) for name in (first, second)}
    rows = [
        {**row, **{name: column[row["point"]] for name, column in columns.items()}} for row in table
    ]
    return sweep_heatmap(rows, first, second, "minus_uniform", weighting, allocator)


def store(
    study: Study, rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any], out: Path,
    *, command: str, versions: Mapping[str, str],
) -> None:  # fmt: skip
    """Write the numbers (JSON) and a self-contained page of figures (HTML)."""
    content = {
        "command": command, "versions": dict(versions), "method": study.method,
        "samples": study.size, "seed": study.seed, "runs": study.sweep.num_runs, **found,
        "box": [vars(parameter) for parameter in study.parameters],
    }  # fmt: skip
    write_atomically(out / NUMBERS, json.dumps(content, indent=1) + "\n")
    drawn = [drawing(figure) for figure in figures(study, rows, found)]
    settings = {
        "method": study.method, "samples": study.size, "seed of the sample": study.seed,
        "runs": study.sweep.num_runs, **study.sweep.chosen, **study.sweep.settings,
    }  # fmt: skip
    body = "<h1>Sensitivity</h1>" + "".join(drawn) + provenance(command, settings, versions)
    write_atomically(out / REPORT, document("Sensitivity", body))
