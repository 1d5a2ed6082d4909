"""Whole numbers in given proportions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cobasim.arrays import IntArray


def apportion(
    total: int, weights: Sequence[float], capacity: Sequence[int] | None = None
) -> IntArray:
    """Whole numbers (k,) near total * weights / sum(weights), by largest remainders.

    They sum to `total`. With `capacity` (k,) none exceeds its own, what does not fit goes to the
    others, and the sum is min(total, sum(capacity)). Ties go to the lower index.
    """
    share = np.asarray(weights, dtype=np.float64)
    room = np.full(share.size, total) if capacity is None else np.asarray(capacity)
    out = np.zeros(share.size, dtype=np.int64)
    left = min(total, int(room.sum()))
    while left > 0:
        open_ = (out < room) & (share > 0)
        if not open_.any():  # only levels of weight zero have room
            break
        exact = np.where(open_, left * share / share[open_].sum(), 0.0)
        more = np.floor(exact).astype(np.int64)
        order = np.argsort(-(exact - more), kind="stable")
        order = order[open_[order]]
        more[order[: left - int(more.sum())]] += 1
        more = np.minimum(more, room - out)
        out += more
        left -= int(more.sum())
    return out
