"""Prompt populations: where first pass rates come from, and the five difficulty classes."""

from __future__ import annotations

import numpy as np

from cobasim.arrays import FloatArray

# name -> Beta(a, b) of the first pass rates
POPULATIONS: dict[str, tuple[float, float]] = {
    # mean 0.30, heavy at both ends: about the shape of a 7B model's pass rates on a
    # 17k-prompt mathematics set
    "math": (0.35, 0.80),
    "easy": (1.2, 0.8),  # mean 0.60
    "hard": (0.20, 1.8),  # mean 0.10
    "middling": (3.0, 5.0),  # mean 0.375, nothing at the ends
}

RATE_FLOOR = 1e-3  # measured rates of exactly 0 or 1 start this far from the end


def draw_pass_rates(rng: np.random.Generator, size: int, population: str) -> FloatArray:
    """First pass rates (size,) of a named population, kept off 0 and 1 by 1e-6.

    A prompt at exactly 0 could never learn and one at exactly 1 never fail.
    """
    a, b = POPULATIONS[population]
    return np.clip(rng.beta(a, b, size), 1e-6, 1.0 - 1e-6)


def resample_pass_rates(rng: np.random.Generator, size: int, measured: FloatArray) -> FloatArray:
    """``size`` rates drawn with replacement from measured ones (a bootstrap)."""
    return measured[rng.integers(0, measured.size, size)]


def keep_off_the_ends(measured: FloatArray) -> FloatArray:
    """Measured rates with exact 0 and 1 moved inside by RATE_FLOOR; all others unchanged.

    No finite number of failures shows that a prompt can never pass.
    """
    rates = np.where(measured <= 0.0, RATE_FLOOR, measured)
    return np.where(measured >= 1.0, 1.0 - RATE_FLOOR, rates)
