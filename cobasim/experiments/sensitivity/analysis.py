"""Rows of a sensitivity sweep -> indices, and means by quarter of each setting's range. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.experiments.intervals import half_width
from cobasim.experiments.sensitivity.design import Design
from cobasim.experiments.sensitivity.index import indices
from cobasim.scores import METRICS, mean_interval, with_differences

ANALYSED = ("final_heldout", "minus_uniform", "auc", "mixed_share")
"""The metrics that have indices."""


def values_of(
    rows: Sequence[Mapping[str, Any]], metric: str, weighting: str, allocator: str, points: int
) -> FloatArray:
    """The metric (points,), mean over seeds, in the units of ``METRICS``.

    Raises InputError if the metric is missing at a point.
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


def analyse(design: Design, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Indices of every metric, weighting and allocator, and the means by quarter of each setting.

    Returns plain values: {"indices": {weighting: {allocator: {metric: [row]}}}, "quarters": ...}.
    """
    table = with_differences(rows)
    shares, points = design.shares, len(design.sweep.points)
    result: dict[str, Any] = {"indices": {}, "quarters": {}}
    for weighting in dict.fromkeys(row["weighting"] for row in table):
        for allocator in dict.fromkeys(row["allocator"] for row in table):
            for metric in ANALYSED:
                if metric == "minus_uniform" and allocator == "uniform":
                    continue
                values = values_of(table, metric, weighting, allocator, points)
                by_metric = result["indices"].setdefault(weighting, {}).setdefault(allocator, {})
                by_metric[metric] = [
                    vars(index)
                    for index in indices(
                        design.names, design.method, shares, values, seed=design.seed
                    )
                ]
                if metric == "minus_uniform":
                    quarters = result["quarters"].setdefault(weighting, {})
                    quarters[allocator] = _quarters(design, shares, values)
    return result


def quarter_of(shares: FloatArray) -> IntArray:
    """Which quarter of its range, 0 to 3, each share in [0, 1] lies in."""
    return np.minimum((4 * shares).astype(np.int64), 3)


def _quarters(design: Design, shares: FloatArray, values: FloatArray) -> list[dict[str, Any]]:
    """Mean of the metric by quarter of each setting's range, everything else varying."""
    rows = []
    for column, parameter in enumerate(design.parameters):
        place = quarter_of(shares[:, column])
        cells = []
        for quarter in range(4):
            inside = values[place == quarter]
            if inside.size >= 2:
                mean = mean_interval(inside)
                cells.append(
                    {"quarter": quarter, "mean": mean.mean, "half": half_width(mean), "n": mean.n}
                )
        ends = {"from": parameter.at(0.0), "to": parameter.at(1.0)}
        rows.append({"name": parameter.name, **ends, "cells": cells})
    return rows
