"""Dividing whole rollouts fairly when no value function has a say."""

from __future__ import annotations

import numpy as np

from cobasim.allocation.limits import Limits
from cobasim.arrays import FloatArray, IntArray


def uniform_budgets(num_prompts: int, limits: Limits) -> IntArray:
    """Equal budgets (m,) under ``limits``; a remainder is spaced evenly over the batch."""
    limits = limits.for_batch(num_prompts)
    room = np.full(num_prompts, limits.high - limits.low, dtype=np.int64)
    return limits.low + spread_evenly(limits.total - num_prompts * limits.low, room)


def spread_evenly(amount: int, room: IntArray) -> IntArray:
    """Split ``amount`` into equal whole shares, none above its ``room``.

    Shares of entries that are not full differ by at most one, and the ones that get one more are
    spaced over the batch rather than the first ones.

    Args:
        amount: units to hand out, 0 <= amount <= sum(room).
        room: (m,) how much each entry can take.

    Returns (m,) integers that sum to ``amount``.
    """
    shares = np.zeros_like(room)
    left = int(amount)
    open_ = np.flatnonzero(room > 0)
    while left > 0:
        level, over = divmod(left, open_.size)
        if level > 0:
            more = np.minimum(level, (room - shares)[open_])
        else:
            marks = (np.arange(open_.size + 1) * over) // open_.size
            more = np.diff(marks)  # `over` ones, evenly spaced
        shares[open_] += more
        left -= int(more.sum())
        open_ = open_[shares[open_] < room[open_]]
    return shares


def spread_proportionally(amount: int, weights: FloatArray, room: IntArray) -> IntArray:
    """Split ``amount`` in proportion to ``weights``, none above its ``room``.

    What a full entry cannot take goes to the others in the same proportion; whole numbers by
    largest remainder, ties spaced over the entries. Where all weights left are 0, evenly.

    Args:
        amount: units to hand out, 0 <= amount <= sum(room).
        weights: (m,) finite, >= 0.
        room: (m,) how much each entry can take.

    Returns (m,) integers that sum to ``amount``.
    """
    shares = np.zeros_like(room)
    left = int(amount)
    while left > 0:
        room_left = room - shares
        active = np.where(room_left > 0, weights, 0.0)
        total = float(active.sum())
        if total <= 0.0:
            return shares + spread_evenly(left, room_left)
        exact = left * (active / total)
        if bool(np.any(exact > room_left)):  # fill those that overflow, then share out again
            full = exact >= room_left
            shares[full] = room[full]
            left -= int(room_left[full].sum())
            continue
        whole = np.floor(exact).astype(np.int64)
        rest = left - int(whole.sum())
        remainder = np.where(whole < room_left, exact - whole, -1.0)
        if rest > 0:
            last = np.partition(remainder, remainder.size - rest)[remainder.size - rest]
            more = remainder > last
            tied = (remainder == last).astype(np.int64)
            whole += more + spread_evenly(rest - int(np.count_nonzero(more)), tied)
        return shares + whole
    return shares
