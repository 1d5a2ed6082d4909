"""How prompts moved between difficulty classes during a run."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import FloatArray, IntArray
from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.errors import InputError
from cobasim.records import Run


def transition_counts(run: Run) -> IntArray | None:
    """Return the (5, 5) counts of the last evaluation: rows = class at step 0, columns = then."""
    for step in reversed(run.steps):
        if step.evaluation is not None and step.evaluation.get("transitions") is not None:
            return np.array(step.evaluation["transitions"], dtype=np.int64)
    return None


def transition_shares(counts: ArrayLike) -> FloatArray:
    """Divide (..., 5, 5) transition counts by their row sums (Figure 7 of arXiv 2602.03048).

    A row without prompts is NaN.  Raises InputError for another shape.
    """
    table = np.asarray(counts, dtype=np.float64)
    size = len(DIFFICULTY_CLASSES)
    if table.shape[-2:] != (size, size):
        raise InputError(f"transition counts have shape {table.shape}, expected (..., 5, 5)")
    totals = table.sum(axis=-1, keepdims=True)
    shares = np.full(table.shape, np.nan)
    np.divide(table, totals, out=shares, where=totals > 0)
    return shares
