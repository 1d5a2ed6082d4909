"""Cells of a table as numbers: rates, counts, and what stands for a missing value."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

MOST = 10**9
"""Counts above this are taken for something else."""

MISSING = frozenset({"", "-", "na", "n/a", "nan", "null", "none"})
"""Texts that stand for a missing value, in small letters."""

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Notation:
    """How numbers are written.

    Attributes:
        percent: plain numbers are percent; ``25%`` is percent anyway.
        decimal_comma: ``0,5`` is 0.5.
    """

    percent: bool = False
    decimal_comma: bool = False


def is_missing(value: Any) -> bool:
    """Whether a cell holds no value: null, NaN, empty, or one of MISSING."""
    if value is None:
        return True
    if isinstance(value, float | Decimal):
        return math.isnan(value)
    return isinstance(value, str) and value.strip().lower() in MISSING


def number(value: Any, notation: Notation = Notation()) -> float:
    """A plain number. Raises ValueError with what is wrong and what would help."""
    if isinstance(value, bool):
        raise ValueError(f"{value} is not a number")
    if isinstance(value, int | float | Decimal):
        try:
            return _finite(float(value), value)
        except OverflowError:
            raise ValueError(f"{_short(value)} is too large") from None
    if not isinstance(value, str):
        raise ValueError(f"{_short(value)} is not a number")
    text = value.strip()
    if "," in text:
        if not notation.decimal_comma:
            raise ValueError(
                f"{_short(text)} has a comma; if it is a decimal comma, add --decimal-comma"
            )
        if "." in text or text.count(",") > 1:
            raise ValueError(f"{_short(text)} is not a number with a decimal comma")
        text = text.replace(",", ".")
    elif notation.decimal_comma and "." in text:
        raise ValueError(
            f"{_short(text)} has a point, which with --decimal-comma could stand for thousands"
        )
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"{_short(value)} is not a number")
    return _finite(float(text), value)


def count(value: Any, notation: Notation = Notation()) -> float:
    """A whole number of 0 to MOST. Raises ValueError."""
    given = number(value, notation)
    if given < 0 or given != math.floor(given):
        raise ValueError(f"{_short(value)} is not a count: expected a whole number of at least 0")
    if given > MOST:
        raise ValueError(f"{_short(value)} is not a count: the most is {MOST:,}")
    return given


def rate(value: Any, notation: Notation = Notation()) -> tuple[float, float | None]:
    """A rate in [0, 1], and the attempts behind it if it is a fraction such as ``5/8``.

    Raises ValueError.
    """
    if isinstance(value, str) and "/" in value:
        top, _, bottom = value.partition("/")
        passes, attempts = count(top, notation), count(bottom, notation)
        if attempts == 0:
            raise ValueError(f"{_short(value.strip())} has 0 attempts: no pass rate is known")
        if passes > attempts:
            raise ValueError(f"{_short(value.strip())} has more passes than attempts")
        return passes / attempts, attempts
    percent = notation.percent
    if isinstance(value, str) and value.strip().endswith("%"):
        percent, value = True, value.strip()[:-1]
    given = number(value, notation)
    share = given / 100.0 if percent else given
    if not 0.0 <= share <= 1.0:
        if percent:
            raise ValueError(f"{given:g} % lies outside 0 to 100 %")
        raise ValueError(
            f"{given:g} lies outside [0, 1]; for percent add --percent, for counts give --passes"
        )
    return share, None


def _finite(given: float, value: Any) -> float:
    if not math.isfinite(given):
        raise ValueError(f"{_short(value)} is not finite")
    return given


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "a value that is nested too deeply"
    except ValueError:  # a whole number of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."
