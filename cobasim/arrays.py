"""Array types, other sizes of them, and the one check of every array of pass rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cobasim.errors import InputError

RealArray = NDArray[np.floating[Any]]
"""Floats of any precision."""
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def resized(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """A copy of ``array`` with ``rows`` rows: the last ones cut off, or zeros added."""
    copy = np.zeros((rows, *array.shape[1:]), dtype=array.dtype)
    kept = min(len(array), rows)
    copy[:kept] = array[:kept]
    return copy


def wide_enough(array: NDArray[Any], most: int) -> NDArray[Any]:
    """``array`` of integers, or a copy of a wider type if ``most`` does not fit into its own."""
    if most <= np.iinfo(array.dtype).max:
        return array
    return array.astype(np.min_scalar_type(most))


def as_pass_rates(pass_rates: ArrayLike) -> FloatArray:
    """Return ``pass_rates`` as a contiguous float array (m,), each in [0, 1].

    Raises InputError for anything that is not a flat, non-empty list of numbers in [0, 1].
    """
    try:
        given = np.asarray(pass_rates)
        if given.dtype.kind not in "biufO":
            raise TypeError(f"got {given.dtype}")
        array = np.ascontiguousarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"pass rates must be a flat list of numbers in [0, 1]: {error}") from None
    if given.ndim != 1:
        raise InputError(f"pass rates must be a flat list, got an array of shape {given.shape}")
    if array.size == 0:
        raise InputError("pass rates are empty: give at least one prompt")
    bad = np.flatnonzero(~((array >= 0.0) & (array <= 1.0)))
    if bad.size:
        raise InputError(
            f"pass rates must lie in [0, 1]: entry {bad[0]} is {array[bad[0]]:g}"
            + (f" (and {bad.size - 1} more)" if bad.size > 1 else "")
            + ", counting from 0"
        )
    return array
