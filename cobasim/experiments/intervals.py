"""Means with intervals, as texts of tables and sentences."""

from __future__ import annotations

from cobasim.scores import Interval


def half_width(interval: Interval) -> float | None:
    """Half of the interval's width; None without an interval (one seed)."""
    return None if interval.high is None else interval.high - interval.mean


def signed(mean: float, half: float | None, digits: int = 2) -> str:
    """``+1.20 ± 0.31``, or ``+1.20`` without a half width."""
    return f"{mean:+.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")
