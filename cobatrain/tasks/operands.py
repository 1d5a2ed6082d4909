"""Pairs of numbers under an operation, split once into those that train and those held out.

Pairs are held out, not questions. The pairs of a kind (``2+1``: two digits plus one) are split by a
seeded permutation, with 7+12 and 12+7 on the same side wherever their order does not matter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from cobasim.arrays import BoolArray, IntArray
from cobatrain.tasks.streams import LADDER_SPLIT, rng_of

MAX_DIGITS = 6
"""Most digits of both operands together: all pairs are enumerated."""


@dataclass(frozen=True)
class Operation:
    """What is asked of two numbers."""

    answer: np.ufunc
    commutes: bool
    split: str
    """Operations of the same letter are split alike: who knows the larger knows the smaller."""


OPERATIONS = {
    "+": Operation(np.add, True, "+"),
    "-": Operation(np.subtract, False, "-"),
    "*": Operation(np.multiply, True, "*"),
    ">": Operation(np.maximum, True, ">"),
    "<": Operation(np.minimum, True, ">"),
}
_KIND = re.compile(r"([1-9])([+\-*<>])([1-9])", re.ASCII)


def parsed_kind(kind: str) -> tuple[int, str, int] | None:
    """(left digits, operation, right digits) of ``2+1``; None for what is no kind of pairs."""
    match = _KIND.fullmatch(kind)
    if match is None or int(match[1]) + int(match[3]) > MAX_DIGITS:
        return None
    return int(match[1]), match[2], int(match[3])


def _parts(kind: str) -> tuple[int, str, int]:
    parts = parsed_kind(kind)
    if parts is None:
        raise ValueError(f"{kind!r} is no kind of pairs; expected one such as '2+1'")
    return parts


def _numbers(digits: int) -> IntArray:
    """All numbers of that many digits; 0 counts as one digit."""
    return np.arange(10 ** (digits - 1) if digits > 1 else 0, 10**digits, dtype=np.int64)


def heldout_grid(kind: str, fraction: float, seed: int) -> BoolArray:
    """Which pairs of a kind are held out, (left operands, right operands).

    Of the distinct pairs round(fraction * count) are held out, at least one and never all, by a
    permutation seeded with the seed, the operation and the digits. Where the order does not matter
    a pair and its swapped pair count as one, also across kinds: the grid of "1+2" is that of "2+1",
    transposed.
    """
    left, sign, right = _parts(kind)
    operation = OPERATIONS[sign]
    if operation.commutes and left < right:
        return heldout_grid(f"{right}{sign}{left}", fraction, seed).T
    shape = (_numbers(left).size, _numbers(right).size)
    if operation.commutes and left == right:
        rows, columns = np.tril_indices(shape[0])
    else:
        rows, columns = (axis.ravel() for axis in np.indices(shape))
    held = int(np.clip(round(fraction * rows.size), 1, rows.size - 1))
    rng = rng_of(seed, LADDER_SPLIT, ord(operation.split), left, right)
    chosen = rng.permutation(rows.size)[:held]
    grid = np.zeros(shape, dtype=bool)
    grid[rows[chosen], columns[chosen]] = True
    if operation.commutes and left == right:
        grid |= grid.T
    return grid


def split_pairs(kind: str, fraction: float, seed: int) -> tuple[IntArray, IntArray]:
    """The pairs (n, 2) of a kind that train, and those held out."""
    left, _, right = _parts(kind)
    grid = heldout_grid(kind, fraction, seed)
    first, second = _numbers(left)[0], _numbers(right)[0]
    train, heldout = (
        np.stack([rows + first, columns + second], axis=1)
        for rows, columns in (np.nonzero(~grid), np.nonzero(grid))
    )
    return train, heldout


def answers(sign: str, pairs: IntArray) -> IntArray:
    """What the operation makes of pairs (n, 2)."""
    left, right = pairs.T
    out: IntArray = OPERATIONS[sign].answer(left, right)
    return out
