"""Cells of a league's table, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cobasim.experiments.intervals import signed
from cobasim.runs import BASELINE


def points(interval: Mapping[str, Any] | None) -> str:
    """An interval of a difference in percentage points; "-" without one."""
    if interval is None:
        return "-"
    high = interval["high"]
    half = None if high is None else 100 * (high - interval["mean"])
    return signed(100 * interval["mean"], half)


def counts(row: Mapping[str, Any], reference: str) -> str:
    """Conditions in which a row beats or loses to ``reference`` significantly, or neither."""
    if f"beats_{reference}" not in row:
        return "-"
    return " / ".join(str(row[f"{name}_{reference}"]) for name in ("beats", "loses", "inside"))


def never_below(row: Mapping[str, Any]) -> str:
    """Whether it is never significantly below uniform; if not, in how many conditions it is."""
    if row["allocator"] == BASELINE:
        return "-"
    return "yes" if row["never_below_uniform"] else f"no: {len(row[f'below_{BASELINE}_at'])}"
