"""The groups of a flat batch of rollouts: which one each rollout is in, how large each is."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import IntArray
from cobasim.errors import InputError


def group_index(group: ArrayLike) -> tuple[IntArray, IntArray]:
    """Any integer names -> group index 0 .. g-1 of each rollout (n,), group sizes (g,).

    Raises InputError if ``group`` is not a flat, non-empty array of integers.
    """
    names = np.asarray(group)
    if names.ndim != 1 or names.size == 0 or not np.issubdtype(names.dtype, np.integer):
        raise InputError(
            "group must be a flat, non-empty array of whole numbers, one per rollout, got "
            f"{names.dtype} {names.shape}"
        )
    _, index, sizes = np.unique(names, return_inverse=True, return_counts=True)
    return index.astype(np.int64), sizes.astype(np.int64)
