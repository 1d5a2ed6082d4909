"""Which prompts, then how many rollouts: ``signal`` on prompts chosen as GRESO chooses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation.allocators import parameter
from cobasim.allocation.arrays import IntArray
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Observation
from cobasim.allocation.peers.greso import Greso
from cobasim.allocation.signal import Signal


@dataclass(frozen=True, kw_only=True)
class SignalSkip(Greso):
    """Skips prompts that keep giving one outcome, and divides the rollouts as ``signal`` does.

    The prompts are those of ``greso`` (arXiv 2506.02177: drawn by their streaks of one outcome,
    replaced from further batches); what greso would give them in equal parts is divided by
    ``signal`` (docs/signal.md).
    """

    source: ClassVar[str] = "this project, docs/signal.md, on GRESO, arXiv 2506.02177"
    estimator: ClassVar[str] = "posterior"
    uses_beliefs: ClassVar[bool] = True
    ratio: float = parameter(
        0.3, "nuisance variance that a prompt's rollouts share, over one rollout's", at_least=0
    )
    weighting: str | None = parameter(
        None,
        "how the loss weights prompts; the learner's own where not given",
        choices=("rollout", "token", "prompt"),
    )
    update: str = parameter("grpo", "group update", choices=("grpo", "dr-grpo", "rloo"))

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """See the class."""
        budgets = super().__call__(obs, limits)
        chosen = budgets > 0
        if np.count_nonzero(chosen) > 1:
            divide = Signal(ratio=self.ratio, weighting=self.weighting, update=self.update)
            share = Limits(int(budgets.sum()), limits.low, limits.high)
            budgets[chosen] = divide(obs.take(chosen), share)
        return budgets
