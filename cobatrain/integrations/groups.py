"""Rows of a batch that has n of them for each prompt, dealt again by budgets; rewards to passes."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError


def group_sizes(keys: Sequence[Hashable]) -> tuple[list[Hashable], IntArray]:
    """The distinct keys (m,) of rows (n,), as they come, and how many rows each has.

    Raises InputError unless the rows of a key lie together: they are one group.
    """
    sizes: dict[Hashable, int] = {}
    last: Hashable = None
    for row, key in enumerate(keys):
        if key in sizes and key != last:
            raise InputError(
                f"prompt {key!r} comes again in row {row} (counting from 0), after others: rows of "
                "a prompt must lie together, and a prompt may be in a batch once"
            )
        sizes[key], last = sizes.get(key, 0) + 1, key
    return list(sizes), np.array(list(sizes.values()), dtype=np.int64)


def deal_rows(columns: Mapping[str, Any], sizes: IntArray, budgets: IntArray) -> dict[str, Any]:
    """A batch with ``budgets[i]`` rows of prompt i instead of ``sizes[i]``.

    A prompt keeps its first rows as they are; further ones are deep copies of its first.

    Args:
        columns: lists (rows,), one entry a row, are dealt; anything else is kept.
        sizes, budgets: (m,) rows of each prompt before and after; prompts keep their order.

    Returns the columns under the same names.

    Raises InputError for a list whose length is not that of the batch.
    """
    rows = int(sizes.sum())
    prompt = np.repeat(np.arange(budgets.size), budgets)
    place = np.arange(prompt.size) - (np.cumsum(budgets) - budgets)[prompt]
    first = (np.cumsum(sizes) - sizes)[prompt]
    old = place < sizes[prompt]
    source = (first + np.where(old, place, 0)).tolist()
    kept = old.tolist()
    dealt = {}
    for name, column in columns.items():
        if not isinstance(column, list):
            dealt[name] = column
        elif len(column) != rows:
            raise InputError(f"column {name!r} has {len(column)} entries, the batch {rows} rows")
        else:
            dealt[name] = [
                column[row] if own else copy.deepcopy(column[row])
                for row, own in zip(source, kept, strict=True)
            ]
    return dealt


def count_passes(rewards: ArrayLike, passed: float, budgets: IntArray) -> IntArray:
    """How many rewards of each group (m,) are at least ``passed``.

    Args:
        rewards: (sum of budgets,) one a rollout, groups one after another.
        budgets: (m,) size of each group, at least 1.

    Raises InputError for NaN, and for another number of rewards.
    """
    array: FloatArray = np.asarray(rewards, dtype=np.float64)
    if array.shape != (int(budgets.sum()),):
        raise InputError(
            f"got rewards of shape {array.shape} for {budgets.sum()} rollouts: one reward a rollout"
        )
    if np.isnan(array).any():
        at = int(np.flatnonzero(np.isnan(array))[0])
        raise InputError(f"the reward of rollout {at} (counting from 0) is NaN: give it a number")
    starts = np.cumsum(budgets) - budgets
    return np.add.reduceat((array >= passed).astype(np.int64), starts)
