"""Gradient norms of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cobasim.records import StepRecord


def late_gradient_norm(records: Sequence[StepRecord]) -> float:
    """Mean gradient norm, before clipping, of the second half of a run's updates.

    NaN if it was not recorded.
    """
    steps = [record for record in records if record.step > 0]
    norms = [record.learner.get("grad_norm", math.nan) for record in steps[len(steps) // 2 :]]
    return float(np.mean(norms))
