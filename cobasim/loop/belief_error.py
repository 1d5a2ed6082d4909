"""How far beliefs of pass rates are from the truth, where an evaluation computed it."""

from __future__ import annotations

import numpy as np

from cobasim.allocation import Estimate
from cobasim.arrays import FloatArray


def belief_error(believed: Estimate, true: FloatArray) -> dict[str, float | None]:
    """Numbers of an evaluation that compare estimates with true pass rates.

    Args:
        believed: of the whole pool.
        true: (P,) true pass rates.

    Returns ``estimate_error``, the mean absolute difference, and ``estimate_correlation``
    (Pearson's); ``estimate_seen``, the share of prompts with rollouts behind their estimates, and
    the two numbers over these prompts alone, with ``_seen`` at the end. None: there are no such
    prompts, or a correlation of rates that are all the same.
    """
    seen = believed.attempts > 0
    numbers: dict[str, float | None] = {"estimate_seen": float(seen.mean())}
    for name, chosen in (("", np.ones_like(seen)), ("_seen", seen)):
        estimates, rates = believed.pass_rate[chosen], true[chosen]
        numbers[f"estimate_error{name}"] = (
            float(np.abs(estimates - rates).mean()) if rates.size else None
        )
        numbers[f"estimate_correlation{name}"] = _correlation(estimates, rates)
    return numbers


def _correlation(one: FloatArray, other: FloatArray) -> float | None:
    if one.size < 2 or np.ptp(one) == 0.0 or np.ptp(other) == 0.0:
        return None
    return float(np.corrcoef(one, other)[0, 1])
