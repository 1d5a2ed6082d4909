"""What a group of B rollouts does on average, exactly, for every budget at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.updates import group_update


@dataclass(frozen=True, eq=False)
class UpdateMoments:
    """Moments of the group update u and the mean squared advantage s, over the outcomes.

    Attributes:
        move: (m, high + 1) E[u] by prompt and budget; 0 at the budgets 0 and 1.
        variance: (m, high + 1) Var[u].
        spread: (m, high + 1) E[s] / B, the noise that rollouts bring, in that of one rollout.
    """

    move: FloatArray
    variance: FloatArray
    spread: FloatArray


def update_moments(pass_rate: FloatArray, high: int, kind: str = "grpo") -> UpdateMoments:
    """Sums over the binomial distribution of passes, for budgets of 0 to ``high``.

    Args:
        pass_rate: (m,) true pass rates in [0, 1].
        high: largest budget.
        kind: a name in ``updates.UPDATES``.
    """
    p = np.asarray(pass_rate, dtype=np.float64)[:, None]
    move, second, spread = (np.zeros((p.size, high + 1)) for _ in range(3))
    chance = np.zeros((p.size, high + 1))  # of each number of passes
    chance[:, 0] = 1.0
    for budget in range(1, high + 1):
        chance[:, 1:] = chance[:, 1:] * (1.0 - p) + chance[:, :-1] * p
        chance[:, 0] *= 1.0 - p[:, 0]
        passes = np.arange(budget + 1)
        update, square = group_update(passes, np.full(budget + 1, budget), kind)
        now = chance[:, : budget + 1]
        move[:, budget], second[:, budget] = now @ update, now @ (update * update)
        spread[:, budget] = now @ square / budget
    return UpdateMoments(move, np.maximum(second - move * move, 0.0), spread)
