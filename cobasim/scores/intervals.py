"""Means over seeds with their Student-t intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from cobasim.errors import InputError

LEVEL = 0.05
"""Level of the tests; 1 - LEVEL is the coverage of the intervals."""


@dataclass(frozen=True)
class Interval:
    """A mean over n seeds with its 95 % Student-t interval; low and high are None if n = 1."""

    mean: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: ArrayLike) -> Interval:
    """Return the mean of (n,) values with its 95 % Student-t interval.

    Raises InputError for no values or for values that are not finite.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not data.size or not np.isfinite(data).all():
        raise InputError(
            f"got values {values!r}, expected a flat list of finite numbers, not empty"
        )
    mean = float(data.mean())
    if data.size == 1:
        return Interval(mean, None, None, 1)
    half = t_factor(data.size) * float(data.std(ddof=1)) / data.size**0.5
    return Interval(mean, mean - half, mean + half, data.size)


def t_factor(n: int) -> float:
    """Return the Student-t quantile of a two-sided 95 % interval over n >= 2 values."""
    return float(special.stdtrit(n - 1, 1 - LEVEL / 2))
