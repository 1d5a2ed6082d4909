"""The weight of every rollout and token in the loss (pure numpy).

Computed over the *whole* batch, as advantages are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError, unknown_name
from cobatrain.update.grouping import group_index


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

``rollout``: every rollout alike, 1/n; a prompt's weight grows with its budget. ``token``: every
token alike (DAPO, arXiv 2503.14476). ``prompt``: every prompt alike, 1/M, shared by its B_i
rollouts.
"""


def check_weighting(weighting: str, constant_length: int | None = None) -> None:
    """Raise InputError for an unknown weighting, and for one that takes no ``constant_length``."""
    if weighting not in WEIGHTINGS:
        raise unknown_name("weighting", weighting, WEIGHTINGS)
    if constant_length is None:
        return
    if weighting == "token":
        raise InputError(
            "constant_length goes with the weightings 'rollout' and 'prompt': 'token' normalises "
            "by the number of tokens already"
        )
    if constant_length < 1:
        raise InputError(f"constant_length must be at least 1, got {constant_length}")


def rollout_weights(group: ArrayLike, lengths: ArrayLike, weighting: str) -> FloatArray:
    """The share of every rollout in the loss (n,); it sums to 1.

    ``group`` (n,) integers, ``lengths`` (n,) sampled tokens of each rollout, at least 1. M, for
    ``prompt``, counts the prompts that have a rollout in this batch. Raises InputError if an
    argument is invalid.
    """
    check_weighting(weighting)
    index, sizes = group_index(group)
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
    length / constant_length. Raises InputError if an argument is invalid, or for a constant with
    ``token``, which normalises by tokens already.
    """
    check_weighting(weighting, constant_length)
    shares = rollout_weights(group, lengths, weighting)
    if constant_length is None:
        return shares / np.asarray(lengths, dtype=np.float64)
    return shares / constant_length
