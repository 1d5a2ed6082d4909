"""Which prompts, then how many rollouts: ``signal`` on prompts chosen as GRESO chooses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation.limits import Limits
from cobasim.allocation.methods.signal import Signal
from cobasim.allocation.observation import Observation
from cobasim.allocation.peers.greso import Greso
from cobasim.arrays import IntArray


@dataclass(frozen=True, kw_only=True)
class SignalSkip(Greso, Signal):
    """Skips prompts that keep giving one outcome, and divides the rollouts as ``signal`` does.

    The prompts are those of ``greso`` (arXiv 2506.02177: drawn by their streaks of one outcome,
    replaced from further batches); what greso would give them in equal parts is divided by
    ``signal`` (docs/signal.md). Parameters are those of both.
    """

    source: ClassVar[str] = "this project, docs/signal.md, on GRESO, arXiv 2506.02177"
    estimator: ClassVar[str] = Signal.estimator
    uses_beliefs: ClassVar[bool] = True

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """See the class."""
        budgets = Greso.__call__(self, obs, limits)
        chosen = budgets > 0
        if np.count_nonzero(chosen) > 1:
            share = Limits(int(budgets.sum()), limits.low, limits.high)
            budgets[chosen] = Signal.__call__(self, obs.take(chosen), share)
        return budgets
