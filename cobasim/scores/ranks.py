"""Ranks of methods over blocks, and tests on them (Demsar 2006)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import FloatArray
from cobasim.scores.intervals import LEVEL

# scipy.stats is slow to import, so each function imports it for itself


def mean_ranks(values: ArrayLike) -> FloatArray:
    """Return ranks (blocks, methods) of values (blocks, methods, seeds): 1 is the highest value.

    Ranks are taken within a block and a seed, ties averaged, then averaged over seeds.
    """
    from scipy import stats

    ranks = np.asarray(stats.rankdata(-np.asarray(values, dtype=np.float64), axis=1))
    return np.asarray(ranks.mean(axis=2), dtype=np.float64)


def friedman(values: ArrayLike) -> tuple[float, float] | None:
    """Return Friedman's statistic and p-value for values (blocks, methods).

    None for fewer than three methods or two blocks, or if all values of every block are tied.
    """
    from scipy import stats

    table = np.asarray(values, dtype=np.float64)
    if table.shape[0] < 2 or table.shape[1] < 3 or bool(np.all(np.ptp(table, axis=1) == 0.0)):
        return None
    test = stats.friedmanchisquare(*table.T)
    return float(test.statistic), float(test.pvalue)


def critical_difference(methods: int, blocks: int) -> float:
    """Return Nemenyi's critical difference of mean ranks at 5 % (Demsar 2006, section 3.2.2)."""
    from scipy import stats

    quantile = float(stats.studentized_range.ppf(1 - LEVEL, methods, np.inf)) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * blocks)))
