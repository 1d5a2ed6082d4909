"""Paired tests, and corrections for making many of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from cobasim.arrays import FloatArray


def paired_p_value(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return the two-sided p-value of the paired t-test; None if there are fewer than two pairs.

    a, b: (n,) values each, paired by position.  If all differences are the same number, the
    p-value is 0 (or 1 if that number is zero).
    """
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if differences.size < 2:
        return None
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    if deviation == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    statistic = mean / (deviation / differences.size**0.5)
    return float(2 * special.stdtr(differences.size - 1, -abs(statistic)))


def as_p_values(p_values: Iterable[float | None]) -> list[float]:
    """Return the p-values with 1 for each None: a test that could not be made shows nothing."""
    return [1.0 if value is None else value for value in p_values]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number by Holm's step-down rule (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    count = len(order)
    factors = np.arange(count, 0, -1)
    sorted_values = np.asarray(p_values, dtype=np.float64)[order]
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(sorted_values * factors), 1.0)
    return [float(value) for value in adjusted]


def false_discovery(p_values: ArrayLike) -> FloatArray:
    """Return p-values (...,) adjusted by Benjamini and Hochberg's rule (1995), over all of them.

    Of the differences called real at adjusted p < 5 %, at most 5 % are expected not to be.
    """
    from scipy import stats  # slow to import

    values = np.asarray(p_values, dtype=np.float64)
    if not values.size:
        return values.copy()
    return np.asarray(stats.false_discovery_control(values.ravel())).reshape(values.shape)
