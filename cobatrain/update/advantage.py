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

NOISE = 2.0**-20
"""Rewards of a group that differ by at most this part of its largest are equal: 0.1 + 0.2 and 0.3.
That is 1e-6: eight roundings of a float32, in which reward models count, and far below any
difference that is meant."""

DEVIATIONS = ("population", "sample")
"""What ``grpo`` divides by: the root of the mean squared deviation over the n rollouts of a group,
or of their sum over n - 1, as TRL and verl do."""


def grpo(rewards: FloatArray, index: IntArray, sizes: IntArray) -> FloatArray:
    """(r - mean) / std with the group's population std: GRPO, arXiv 2402.03300.

    ``rewards`` (n,), ``index`` (n,) the group 0 .. g-1 of each rollout, ``sizes`` (g,).
    ``advantages`` turns it into that of the sample std where asked to.
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


def check_advantage(kind: str, deviation: str = "population") -> None:
    """Raise InputError for an unknown kind or deviation, or a deviation that the kind has not."""
    if kind not in ADVANTAGES:
        raise unknown_name("advantage", kind, ADVANTAGES)
    if deviation not in DEVIATIONS:
        raise unknown_name("deviation", deviation, DEVIATIONS)
    if deviation != "population" and kind != "grpo":
        raise InputError(
            f"deviation {deviation!r} goes with advantage 'grpo', got {kind!r}, which divides by "
            "no deviation: leave it 'population'"
        )


def advantages(
    rewards: ArrayLike, group: ArrayLike, kind: str = "grpo", deviation: str = "population"
) -> FloatArray:
    """The advantage of every rollout (n,), from the rewards of its own group.

    ``rewards`` (n,) finite numbers; ``group`` (n,) integers naming the prompt of each rollout, in
    any order and of any size. ``deviation`` of ``DEVIATIONS`` is that of ``grpo``: ``sample`` makes
    its advantages sqrt((B-1)/B) times as large in a group of B rollouts (0.71 at B = 2). Groups of
    rewards that are equal up to ``NOISE`` (and so groups of one rollout) give exactly 0.0, with
    every kind. Raises InputError for an unknown or unfit kind or deviation, for shapes that
    disagree, and for rewards that are not finite.
    """
    check_advantage(kind, deviation)
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
    result = ADVANTAGES[kind](values, index, sizes)
    if deviation == "sample":
        result = result * np.sqrt((sizes - 1) / sizes)[index]
    return result


def _centred(
    rewards: FloatArray, index: IntArray, sizes: IntArray
) -> tuple[FloatArray, FloatArray]:
    """(reward - group mean) in units of the group's range (n,), and that range (g,).

    The range decides whether all rewards are equal, up to ``NOISE``; a std of equal floats need not
    be 0.
    """
    order = np.argsort(index, kind="stable")
    starts = np.cumsum(sizes) - sizes
    low = np.minimum.reduceat(rewards[order], starts)
    high = np.maximum.reduceat(rewards[order], starts)
    span = high - low
    span = np.where(span > NOISE * np.maximum(np.abs(low), np.abs(high)), span, 0.0)
    unit = np.where(span > 0, span, 1.0)
    scaled = (rewards - low[index]) / unit[index]
    mean = np.bincount(index, scaled, minlength=len(sizes)) / sizes
    return np.where(span[index] > 0, scaled - mean[index], 0.0), span
