"""The k-th largest of many numbers, sooner than by a partition of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from cobasim.arrays import RealArray

EVERY = 13  # numbers to one of the sample; no power of two, so that it visits all columns
FEW = 2048  # numbers of which no sample is drawn


def nth_largest(values: RealArray, count: int) -> np.floating[Any]:
    """The ``count``-th largest of numbers (n,) without NaN, 1 <= count <= n; ties count each.

    A sample brackets it, and only what lies in the bracket is partitioned. The result is exact:
    where the bracket misses it, everything is.
    """
    if values.size > FEW:
        sample = values[::EVERY]
        place = (values.size - count) * sample.size // values.size
        margin = int(1.5 * sample.size**0.5) + 1  # three deviations of a rank at the middle
        low, high = max(place - margin, 0), min(place + margin, sample.size - 1)
        ordered = np.partition(sample, (low, high))
        least, most = ordered[low], ordered[high]
        near = values[(values >= least) & (values <= most)]
        rank = count - int(np.count_nonzero(values > most))
        if 1 <= rank <= near.size:
            values, count = near, rank
    at = values.size - count
    found: np.floating[Any] = np.partition(values, at)[at]
    return found
