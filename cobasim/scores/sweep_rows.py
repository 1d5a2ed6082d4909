"""Flat rows of a sweep, one per run: differences to uniform, and effects of parameters.

A row holds the point and the parameters of a run, its allocator, weighting and seed, and its
scores under the names of ``RunScores``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cobasim.errors import InputError
from cobasim.scores.intervals import mean_interval

Rows = Sequence[Mapping[str, Any]]

METRICS: dict[str, tuple[str, float]] = {
    "final_heldout": ("final held-out accuracy (%)", 100.0),
    "minus_uniform": ("held-out accuracy minus uniform (points)", 100.0),
    "auc": ("mean held-out accuracy over the run (%)", 100.0),
    "final_hard": ("final accuracy on the hard set (%)", 100.0),
    "mixed_share": ("mixed groups (%)", 100.0),
    "never_mixed": ("visited prompts that never had a mixed group (%)", 100.0),
    "budget_gini": ("Gini coefficient of the budgets", 1.0),
}
"""Columns that can be shown: their name with its unit, and the factor to that unit."""


def with_differences(rows: Rows) -> list[dict[str, Any]]:
    """Rows with ``minus_uniform``: against uniform at the same point, weighting and seed."""

    def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return row["point"], row["weighting"], row["seed"]

    base = {key(row): row["final_heldout"] for row in rows if row["allocator"] == "uniform"}
    compared = []
    for row in rows:
        reference = base.get(key(row))
        own = row["final_heldout"]
        known = row["allocator"] != "uniform" and reference is not None and own is not None
        compared.append({**row, "minus_uniform": own - reference if known else None})
    return compared


def rows_with(rows: Rows, metric: str, weighting: str) -> list[Mapping[str, Any]]:
    """The rows of one weighting in which a metric is known; InputError for an unknown metric."""
    if metric not in METRICS:
        raise InputError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    return [row for row in rows if row["weighting"] == weighting and row.get(metric) is not None]


def values_by_parameter(
    rows: Rows, allocator: str, parameter: str, metric: str
) -> dict[Any, list[float]]:
    """A metric of one allocator, in its unit, by the value of one parameter; the rest pooled."""
    _, scale = METRICS[metric]
    groups: dict[Any, list[float]] = {}
    for row in rows:
        if row["allocator"] == allocator:
            groups.setdefault(row[parameter], []).append(scale * row[metric])
    return groups


def effects(
    rows: Rows, parameters: Sequence[str], metric: str, weighting: str
) -> list[dict[str, Any]]:
    """How far each allocator's mean moves over each parameter's values, largest first.

    ``effect`` is the range of the means over the parameter's values, everything else pooled;
    ``highest at`` and ``lowest at`` say where its ends lie; ``noise`` is the largest half width
    of the means' 95 % intervals.
    """
    chosen = rows_with(rows, metric, weighting)
    table = []
    for name in dict.fromkeys(row["allocator"] for row in chosen):
        for parameter in parameters:
            groups = values_by_parameter(chosen, name, parameter, metric)
            if len(groups) < 2:
                continue
            means = {value: mean_interval(group) for value, group in groups.items()}
            best = max(means, key=lambda value: means[value].mean)
            worst = min(means, key=lambda value: means[value].mean)
            halves = [mean.high - mean.mean for mean in means.values() if mean.high is not None]
            table.append(
                {
                    "allocator": name,
                    "parameter": parameter,
                    "effect": means[best].mean - means[worst].mean,
                    "noise": max(halves, default=None),
                    "highest at": best,
                    "lowest at": worst,
                }
            )
    return sorted(table, key=lambda row: -row["effect"])
