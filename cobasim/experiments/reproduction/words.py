"""Numbers as sentences write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def half_width(interval: Mapping[str, Any], digits: int = 2) -> str:
    """ " ± h" of an interval with ``mean`` and ``high``; nothing without one (one seed)."""
    if interval["high"] is None:
        return ""
    return f" ± {interval['high'] - interval['mean']:.{digits}f}"
