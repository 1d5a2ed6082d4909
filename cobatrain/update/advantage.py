"""Rewards of groups of unequal size -> the advantage of every rollout (pure numpy).

Computed over the *whole* batch, before it is split into micro-batches or over ranks: that is what
makes the gradient independent of the split.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError, unknown_name
from cobatrain.update.grouping import group_index


def grpo(rewards: FloatArray, index: IntArray, sizes: IntArray) -> FloatArray:
    """(r - mean) / std with the group's population std: GRPO, arXiv 2402.03300.

    ``rewards`` (n,), ``index`` (n,) the group 0 .. g-1 of each rollout, ``sizes`` (g,).
    Departure: no eps is added to the std. A group of equal rewards gives exactly 0, and every
    other group is divided by its own std and nothing else; so it does not depend on the scale of
    the rewards, and for m successes of N it is sqrt((N-m)/m) and -sqrt(m/(N-m)).
    """
    scaled, span = _centred(rewards, index, sizes)
    variance = np.bincount(index, scaled * scaled, minlength=len(sizes)) / sizes
    std: FloatArray = np.sqrt(np.where(span > 0, variance, 1.0))
    result: FloatArray = scaled / std[index]
    return result


def dr_grpo(rewards: FloatArray, index: IntArray, sizes: IntArray) -> FloatArray:
    """r - mean of the group, not divided by the std: Dr.GRPO, arXiv 2503.20783."""
    scaled, span = _centred(rewards, index, sizes)
    return scaled * span[index]


def rloo(rewards: FloatArray, index: IntArray, sizes: IntArray) -> FloatArray:
    """r - mean of the *other* rollouts of the group, = B/(B-1) (r - mean): arXiv 2402.14740.

    A group of one has no others: 0.
    """
    correction: FloatArray = sizes / np.maximum(sizes - 1, 1)
    return dr_grpo(rewards, index, sizes) * correction[index]


ADVANTAGES: dict[str, Callable[[FloatArray, IntArray, IntArray], FloatArray]] = {
    "grpo": grpo,
    "dr-grpo": dr_grpo,
    "rloo": rloo,
}
"""Advantage kinds by name: (rewards (n,), group index (n,), group sizes (g,)) -> (n,)."""


def advantages(rewards: ArrayLike, group: ArrayLike, kind: str = "grpo") -> FloatArray:
    """The advantage of every rollout (n,), from the rewards of its own group.

    ``rewards`` (n,) finite numbers; ``group`` (n,) integers naming the prompt of each rollout, in
    any order and of any size. Groups of equal rewards (and so groups of one rollout) give exactly
    0.0, with every kind. Raises InputError for an unknown kind, for shapes that disagree, and for
    rewards that are not finite.
    """
    if kind not in ADVANTAGES:
        raise unknown_name("advantage", kind, ADVANTAGES)
    index, sizes = group_index(group)
    values = np.asarray(rewards, dtype=np.float64)
    if values.shape != index.shape:
        raise InputError(
            f"rewards and group must have one entry per rollout, got {values.shape} and "
            f"{index.shape}"
        )
    if not np.isfinite(values).all():
        at = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"rewards must be finite: rollout {at} has {values[at]}")
    return ADVANTAGES[kind](values, index, sizes)


def _centred(
    rewards: FloatArray, index: IntArray, sizes: IntArray
) -> tuple[FloatArray, FloatArray]:
    """(reward - group mean) in units of the group's range (n,), and that range (g,).

    The range decides exactly whether all rewards are equal; a std of equal floats need not be 0.
    """
    order = np.argsort(index, kind="stable")
    starts = np.cumsum(sizes) - sizes
    low = np.minimum.reduceat(rewards[order], starts)
    span = np.maximum.reduceat(rewards[order], starts) - low
    unit = np.where(span > 0, span, 1.0)
    scaled = (rewards - low[index]) / unit[index]
    mean = np.bincount(index, scaled, minlength=len(sizes)) / sizes
    return np.where(span[index] > 0, scaled - mean[index], 0.0), span
