"""Groups of unequal size -> advantages, and the weight of every token in the loss (pure numpy).

Both are computed over the *whole* batch, before it is split into micro-batches or over ranks:
that is what makes the gradient independent of the split.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError, unknown_name


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
    any order and of any size. Groups of one outcome (and so groups of one rollout) give exactly
    0.0, with every kind. Raises InputError for an unknown kind, for shapes that disagree, and for
    rewards that are not finite.
    """
    if kind not in ADVANTAGES:
        raise unknown_name("advantage", kind, ADVANTAGES)
    index, sizes = _group_index(group)
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


def _by_rollout(index: IntArray, sizes: IntArray, lengths: IntArray) -> FloatArray:
    return np.full(len(index), 1.0 / len(index))


def _by_token(index: IntArray, sizes: IntArray, lengths: IntArray) -> FloatArray:
    return lengths.astype(np.float64) / float(lengths.sum())


def _by_prompt(index: IntArray, sizes: IntArray, lengths: IntArray) -> FloatArray:
    return 1.0 / (len(sizes) * sizes[index].astype(np.float64))


WEIGHTINGS: dict[str, Callable[[IntArray, IntArray, IntArray], FloatArray]] = {
    "rollout": _by_rollout,
    "token": _by_token,
    "prompt": _by_prompt,
}
"""Weightings by name: (group index (n,), group sizes (g,), lengths (n,)) -> rollout weights (n,).

``rollout``: every rollout alike, 1/n; a prompt's say grows with its budget. ``token``: every token
alike (DAPO, arXiv 2503.14476). ``prompt``: every prompt alike, 1/M, shared by its B_i rollouts.
"""


def rollout_weights(group: ArrayLike, lengths: ArrayLike, weighting: str) -> FloatArray:
    """The share of every rollout in the loss (n,); it sums to 1.

    ``group`` (n,) integers, ``lengths`` (n,) sampled tokens of each rollout, at least 1. M, for
    ``prompt``, counts the prompts that have a rollout in this batch. Raises InputError.
    """
    if weighting not in WEIGHTINGS:
        raise unknown_name("weighting", weighting, WEIGHTINGS)
    index, sizes = _group_index(group)
    tokens = np.asarray(lengths)
    if tokens.shape != index.shape or not np.issubdtype(tokens.dtype, np.integer):
        raise InputError(
            f"lengths must be whole numbers, one per rollout ({index.shape}), got "
            f"{tokens.dtype} {tokens.shape}"
        )
    if tokens.min() < 1:
        at = int(np.argmin(tokens))
        raise InputError(f"a rollout has at least 1 sampled token: rollout {at} has {tokens[at]}")
    return WEIGHTINGS[weighting](index, sizes, tokens.astype(np.int64))


def token_weights(
    group: ArrayLike, lengths: ArrayLike, weighting: str, constant_length: int | None = None
) -> FloatArray:
    """The weight of *each* token of every rollout (n,): loss = sum_j w_j sum_t loss_jt.

    That is rollout_weights / lengths (the mean over the tokens inside a rollout), so that
    sum(weights * lengths) is 1. With ``constant_length`` every rollout is divided by that constant
    instead of by its own length (Dr.GRPO, arXiv 2503.20783), and the sum is then the weighted mean
    length / constant_length. Raises InputError, also for a constant together with ``token``, which
    normalises by tokens already.
    """
    shares = rollout_weights(group, lengths, weighting)
    if constant_length is None:
        return shares / np.asarray(lengths, dtype=np.float64)
    if weighting == "token":
        raise InputError(
            "constant_length goes with the weightings 'rollout' and 'prompt': 'token' normalises "
            "by the number of tokens already"
        )
    if constant_length < 1:
        raise InputError(f"constant_length must be at least 1, got {constant_length}")
    return shares / constant_length


def _group_index(group: ArrayLike) -> tuple[IntArray, IntArray]:
    """Any integer names -> group index 0 .. g-1 of each rollout (n,), group sizes (g,)."""
    names = np.asarray(group)
    if names.ndim != 1 or names.size == 0 or not np.issubdtype(names.dtype, np.integer):
        raise InputError(
            "group must be a flat, non-empty array of whole numbers, one per rollout, got "
            f"{names.dtype} {names.shape}"
        )
    _, index, sizes = np.unique(names, return_inverse=True, return_counts=True)
    return index.astype(np.int64), sizes.astype(np.int64)


def _centred(
    rewards: FloatArray, index: IntArray, sizes: IntArray
) -> tuple[FloatArray, FloatArray]:
    """(reward - group mean) in units of the group's range (n,), and that range (g,).

    The range decides exactly whether a group has one outcome; a std of equal floats need not be 0.
    """
    order = np.argsort(index, kind="stable")
    starts = np.cumsum(sizes) - sizes
    low = np.minimum.reduceat(rewards[order], starts)
    span = np.maximum.reduceat(rewards[order], starts) - low
    unit = np.where(span > 0, span, 1.0)
    scaled = (rewards - low[index]) / unit[index]
    mean = np.bincount(index, scaled, minlength=len(sizes)) / sizes
    return np.where(span[index] > 0, scaled - mean[index], 0.0), span
