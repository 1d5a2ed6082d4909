"""What is believed of the policy as a whole: its failure rate, and the shape that follows.

Equations 4, 6 and 7 of arXiv 2602.03048.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import IntArray
from cobasim.errors import InputError


def measured_failure_rate(passes: IntArray, budgets: IntArray) -> float | None:
    """F_t = 1 - mean_i p_i over the prompts of a batch (Eq. 4), p_i measured in its rollouts.

    A mean over prompts, not over rollouts: otherwise the allocation would bias it.

    Args:
        passes: (m,) successful rollouts of each prompt.
        budgets: (m,) rollouts of each prompt; prompts with none do not count.

    Returns None where no prompt has a rollout.
    """
    tried = budgets > 0
    if not tried.all():
        passes, budgets = passes[tried], budgets[tried]
    return 1.0 - float((passes / budgets).sum()) / budgets.size if budgets.size else None


class CapabilityWindow:
    """Fbar_t: the moving average of the failure rate over the past k steps."""

    def __init__(self, steps: int) -> None:
        """Keep the last ``steps`` (k >= 1) failure rates."""
        if steps < 1:
            raise InputError(f"the capability window must hold at least 1 step, got {steps}")
        self._rates: deque[float] = deque(maxlen=steps)

    def append(self, failure_rate: float) -> None:
        """Add the failure rate measured in one step."""
        self._rates.append(failure_rate)

    @property
    def mean(self) -> float | None:
        """The moving average; None before the first measurement."""
        return sum(self._rates) / len(self._rates) if self._rates else None

    def state_dict(self) -> dict[str, Any]:
        """The window's content, for a checkpoint."""
        return {"rates": list(self._rates)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""
        self._rates.clear()
        self._rates.extend(float(rate) for rate in state["rates"])


def transformed_failure_rate(failure_rate: ArrayLike, *, gamma: float = 10.0) -> float:
    """Psi (Eq. 6): Fbar itself above 0.5, sigmoid(gamma (Fbar - 0.5)) below; continuous there."""
    from scipy.special import expit  # slow to import, and not all allocators need it

    rate = float(np.asarray(failure_rate))
    return rate if rate > 0.5 else float(expit(gamma * (rate - 0.5)))


def beta_shape(
    failure_rate: float,
    *,
    kappa: float = 11.0,
    gamma: float = 10.0,
    alpha_min: float = 1.0,
    alpha_max: float | None = None,
    slope: float | None = None,
) -> tuple[float, float]:
    """(alpha_t, beta_t) of the preference density (Eq. 7).

    alpha = clip(alpha_min + slope Psi(Fbar), alpha_min, alpha_max) and beta = kappa - alpha.
    The paper does not state alpha_min, alpha_max and slope (its lambda); the defaults 1,
    kappa - 1 and kappa - 2 let alpha run over 1 .. kappa - 1 as Psi runs over 0 .. 1.
    """
    top = kappa - 1.0 if alpha_max is None else alpha_max
    steepness = kappa - 2.0 if slope is None else slope
    alpha = alpha_min + steepness * transformed_failure_rate(failure_rate, gamma=gamma)
    alpha = min(max(alpha, alpha_min), top)
    return alpha, kappa - alpha
