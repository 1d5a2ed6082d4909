"""The five difficulty classes of prompts, and how prompts move between them."""

from __future__ import annotations

from typing import Final

import numpy as np

from cobasim.arrays import FloatArray, IntArray

DIFFICULTY_CLASSES: Final[tuple[str, ...]] = (
    "extremely hard",
    "hard",
    "medium",
    "easy",
    "extremely easy",
)
"""Difficulty classes of Figure 7 of arXiv 2602.03048: p = 0; <= 0.2; < 0.8; < 1; p = 1."""

# between the classes
_CLASS_EDGES = np.array([1 / 32, 0.2 + 1e-12, 0.8, 31 / 32])


def difficulty_class(pass_rate: FloatArray) -> IntArray:
    """Index into DIFFICULTY_CLASSES (Figure 7 of arXiv 2602.03048) for true pass rates (m,).

    The paper's classes p = 0 and p = 1 are measured with 16 rollouts; a true rate belongs there
    when its nearest multiple of 1/16 is 0 or 1.
    """
    classes = np.zeros(pass_rate.shape, dtype=np.int64)
    for edge in _CLASS_EDGES:  # far fewer branches than a search for each prompt
        classes += pass_rate >= edge
    return classes


def transition_counts(first: IntArray, last: IntArray) -> list[list[int]]:
    """(5, 5) counts of prompts by first class (rows) and last class (columns)."""
    size = len(DIFFICULTY_CLASSES)
    counts = np.bincount(first * size + last, minlength=size * size)
    return [[int(n) for n in row] for row in counts.reshape(size, size)]
