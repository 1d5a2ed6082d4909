"""Counts of a step's prompts and rollouts by pass rate."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

PASS_RATE_BINS: Final[tuple[str, ...]] = (
    "0",
    *(f"{low / 10:.1f}–{(low + 1) / 10:.1f}" for low in range(10)),
    "1",
    "unseen",
)
"""Labels of the 13 pass-rate bins: exactly 0; (0, 0.1] .. (0.8, 0.9]; (0.9, 1); exactly 1; unseen.

Labels only: inner bins are open below and closed above, but for (0.9, 1), which is open.
"""

# A pass rate k/n is the double nearest to the ratio, and so is j/10: equal ratios compare equal.
_BIN_EDGES: Final = np.append(np.arange(10) / 10, np.nextafter(1.0, 0.0))
UNSEEN: Final = len(PASS_RATE_BINS) - 1
"""Position of the bin of prompts without an estimate."""


def bin_counts(
    pass_rate: ArrayLike,
    seen: ArrayLike,
    budgets: ArrayLike,
    mixed: ArrayLike,
    attempts: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
) -> dict[str, list[int]]:
    """Count prompts, rollouts and mixed groups by the pass rate that the allocator saw.

    pass_rate: (m,) estimates in [0, 1] (ignored, NaN allowed, where unseen); seen: (m,) bool;
    budgets: (m,) rollouts; mixed: (m,) bool, true where the group had both outcomes; attempts: (m,)
    past rollouts behind the estimates; tokens: (m,) of the step's responses; None: not known.
    Returns ``{"prompts": [13], "rollouts": [13], "mixed": [13], "attempts": [13], "tokens": [13]}``
    (sums, rounded; the last two if they are known), bins as in PASS_RATE_BINS.
    """
    index = np.where(seen, np.searchsorted(_BIN_EDGES, pass_rate), UNSEEN)
    size = len(PASS_RATE_BINS)
    rollouts = np.bincount(index, weights=np.asarray(budgets), minlength=size)
    place = index + size * np.asarray(mixed, dtype=bool)
    one_outcome, mixed_groups = np.bincount(place, minlength=2 * size).reshape(2, size)
    counts = {
        "prompts": (one_outcome + mixed_groups).tolist(),
        "rollouts": rollouts.astype(np.int64).tolist(),
        "mixed": mixed_groups.tolist(),
    }
    for name, values in (("attempts", attempts), ("tokens", tokens)):
        if values is not None:
            total = np.bincount(index, weights=np.asarray(values), minlength=size)
            counts[name] = np.rint(total).astype(np.int64).tolist()
    return counts
