"""Responses that the maximum length cut off: what an update makes of them (pure numpy)."""

from __future__ import annotations

import numpy as np

from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError, unknown_name

CUT_OFF = ("keep", "drop", "penalty")
"""``keep``: they count as all others do. ``drop``: the update is that of a batch without them.
``penalty``: the soft overlong punishment of DAPO, of *all* responses that come near the maximum."""


def check_cut_off(cut_off: str, penalty_tokens: int | None) -> None:
    """Raise InputError for an unknown choice, and for a penalty without its length or the reverse.

    ``penalty_tokens`` is that length, see ``overlong_penalty``.
    """
    if cut_off not in CUT_OFF:
        raise unknown_name("cut_off", cut_off, CUT_OFF)
    if cut_off == "penalty" and penalty_tokens is None:
        raise InputError(
            "cut_off 'penalty' needs penalty_tokens: over how many tokens before the maximum "
            "length the penalty grows from 0 to -1"
        )
    if cut_off != "penalty" and penalty_tokens is not None:
        raise InputError(
            f"penalty_tokens is {penalty_tokens}, but cut_off is {cut_off!r}: set it to 'penalty', "
            "or leave penalty_tokens out"
        )


def check_penalty(penalty_tokens: int, max_tokens: int) -> None:
    """Raise InputError unless the penalty begins at a length of 0 or more."""
    if penalty_tokens > max_tokens:
        raise InputError(
            f"penalty_tokens is {penalty_tokens}, more than the {max_tokens} tokens that a "
            "response may have (sampling.max_tokens): lower it, or raise max_tokens"
        )


def overlong_penalty(lengths: IntArray, penalty_tokens: int, max_tokens: int | None) -> FloatArray:
    """What is added to the rewards, (n,) in [-1, 0]: Eq. 13 of DAPO, arXiv 2503.14476.

    Args:
        lengths: (n,) sampled tokens of each response.
        penalty_tokens: the last tokens before the maximum, over which it falls linearly to -1 (the
            paper's L_cache).
        max_tokens: the maximum (L_max); a longer response gets -1 too.

    Raises InputError without a maximum, and for one below ``penalty_tokens``.
    """
    if max_tokens is None:
        raise InputError("a penalty needs the maximum length: give the batch its max_tokens")
    check_penalty(penalty_tokens, max_tokens)
    over = np.asarray(lengths, dtype=np.float64) - (max_tokens - penalty_tokens)
    result: FloatArray = -np.clip(over / penalty_tokens, 0.0, 1.0)
    return result
