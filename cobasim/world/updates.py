"""What one group of rollouts does to its prompt's logit, and how groups are weighted. Pure.

In a Bernoulli model of a prompt's outcome, a policy gradient with advantages A_j moves the
prompt's logit by mean_j A_j (r_j - p) = mean_j A_j r_j, since advantages sum to zero. For a group
of B rollouts with m passes that is

    grpo     sqrt(m (B-m)) / B       std-normalised advantages (arXiv 2402.03300)
    dr-grpo  m (B-m) / B^2           advantages r - mean (arXiv 2503.20783)
    rloo     m (B-m) / (B (B-1))     leave-one-out baseline (arXiv 2402.14740)

and 0 for a group of one outcome.
"""

from __future__ import annotations

import numpy as np

from cobasim.allocation.arrays import FloatArray, IntArray

UPDATES = ("grpo", "dr-grpo", "rloo")
WEIGHTINGS = ("rollout", "prompt")


def group_update(
    passes: IntArray, budgets: IntArray, kind: str = "grpo"
) -> tuple[FloatArray, FloatArray]:
    """The logit update of each group, and the mean squared advantage of its rollouts.

    Args:
        passes: (m,) successes.
        budgets: (m,) rollouts, 0 allowed (then no update).
        kind: a name in UPDATES.

    Returns (update, square), both (m,).
    """
    size = np.maximum(budgets, 1)
    variance = passes * (budgets - passes) / (size * size)  # (m,) of the rewards in the group
    if kind == "grpo":
        return np.sqrt(variance), (variance > 0).astype(np.float64)
    if kind == "dr-grpo":
        return variance, variance
    correction = size / np.maximum(size - 1, 1)
    return variance * correction, variance * correction**2


def group_weights(budgets: IntArray, weighting: str) -> FloatArray:
    """Weight of each group in the loss, (m,), summing to 1.

    "rollout": B_i / sum B, every rollout counts alike (a mean over all rollouts or tokens).
    "prompt": 1 / m, every prompt counts alike (a mean per prompt first).
    """
    if weighting == "rollout":
        return np.asarray(budgets / budgets.sum(), dtype=np.float64)
    return np.full(budgets.shape, 1.0 / budgets.size)
