"""Results as the app's tables and files show them."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

from cobasim.records import Run
from cobasim.scores import Interval, Row


def finished_runs(runs: Sequence[Run], steps: int) -> list[Run]:
    """The runs that finished all ``steps`` steps, and so spent equal rollouts."""
    return [run for run in runs if run.steps[-1].step == steps]


def comparison_rows(rows: Sequence[Row]) -> list[dict[str, object]]:
    """A comparison's table, numbers with half of their intervals as text."""
    return [
        {
            "loss weighted per": row.weighting,
            "allocator": row.allocator,
            "seeds": len(row.seeds),
            "held-out (%)": _percent(row.heldout),
            "minus uniform (points)": _percent(row.heldout_difference),
        }
        for row in rows
    ]


def _percent(interval: Interval | None) -> str:
    if interval is None:
        return ""
    if interval.high is None:
        return f"{100 * interval.mean:.2f}"
    return f"{100 * interval.mean:.2f} ± {100 * (interval.high - interval.mean):.2f}"


def comparison_csv(rows: Sequence[Row]) -> str:
    """A comparison's table for other programs: plain values, means for intervals."""
    flat: list[dict[str, Any]] = []
    for row in rows:
        plain = dataclasses.asdict(row).items()
        values: dict[str, Any] = {
            name: value for name, value in plain if isinstance(value, (str, int, float))
        }
        values["heldout"] = row.heldout.mean if row.heldout else None
        values["difference"] = row.heldout_difference.mean if row.heldout_difference else None
        flat.append(values)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def rounded(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with floats of three decimals, and everything else as text."""
    return [
        {
            name: round(value, 3) if isinstance(value, float) else str(value)
            for name, value in row.items()
        }
        for row in rows
    ]
