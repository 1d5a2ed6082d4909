"""Counts as a trainer tells them: checked, as whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import IntArray
from cobasim.errors import InputError

MOST = 2**31 - 1  # of one prompt: what goes beyond is no count of rollouts


def as_outcomes(budgets: ArrayLike, passes: ArrayLike, size: int) -> tuple[IntArray, IntArray]:
    """Rollouts and passes (m,) of the ``size`` = m prompts that are told.

    Raises InputError unless both are m whole numbers with 0 <= passes <= budgets, and at least one
    rollout in all.
    """
    tried, passed = _counts("budgets", budgets, size), _counts("passes", passes, size)
    over = np.flatnonzero(passed > tried)
    if over.size:
        at = over[0]
        raise InputError(
            f"passes of entry {at} (counting from 0) are {passed[at]}, above its budget of "
            f"{tried[at]}: count each rollout once"
        )
    if not tried.any():
        raise InputError(
            "all budgets told are 0: a step needs a rollout; to drop the batch, call withdraw()"
        )
    return tried, passed


def _counts(name: str, given: ArrayLike, size: int) -> IntArray:
    wanted = f"{name} must be {size} whole numbers, one for each key"
    try:
        array = np.asarray(given)
    except Exception as error:  # ragged lists, tensors of a GPU: whatever their library raises
        raise InputError(f"{wanted}: {error}") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"{wanted}, got {array.dtype} values")
    if array.shape != (size,):
        raise InputError(f"{wanted}, got an array of shape {array.shape}")
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(~((array >= 0) & (array <= MOST) & (array == np.floor(array))))
    if bad.size:
        hint = (
            "; with rewards that are not 0 or 1, count those that reach your threshold"
            if name == "passes"
            else ""
        )
        raise InputError(
            f"{wanted}, from 0 to {MOST:,}: entry {bad[0]} (counting from 0) is {array[bad[0]]}"
            f"{hint}"
        )
    return array.astype(np.int64)


def as_numbers(name: str, given: Mapping[str, Any] | None) -> dict[str, float] | None:
    """Numbers by name, as floats. Raises InputError for anything else; None stays None."""
    if given is None:
        return None
    try:
        return {str(key): float(value) for key, value in given.items()}
    except (AttributeError, TypeError, ValueError):
        raise InputError(f"{name} must map names to numbers, got {given!r}"[:300]) from None


def as_shares(name: str, given: Mapping[str, Any] | None) -> dict[str, float] | None:
    """As ``as_numbers``, from 0 to 1 or NaN. Raises InputError for others, such as percent."""
    shares = as_numbers(name, given)
    for key, value in (shares or {}).items():
        if value < 0.0 or value > 1.0:
            raise InputError(
                f"{name}[{key!r}] is {value:g}, expected a share from 0 to 1; numbers that are no "
                "accuracies go into learner"
            )
    return shares
