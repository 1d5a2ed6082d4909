"""What one group of rollouts does to its prompt's logit, weights of groups, and warm-up. Pure.

In a Bernoulli model of a prompt's outcome, a policy gradient with advantages A_j moves the
prompt's logit by mean_j A_j (r_j - p) = mean_j A_j r_j, since advantages sum to zero. For a group
of B rollouts with m passes that is

    grpo     sqrt(m (B-m)) / B       std-normalised advantages (arXiv 2402.03300)
    dr-grpo  m (B-m) / B^2           advantages r - mean (arXiv 2503.20783)
    rloo     m (B-m) / (B (B-1))     leave-one-out baseline (arXiv 2402.14740)

and 0 for a group that is not mixed.
"""

from __future__ import annotations

import numpy as np

from cobasim.arrays import FloatArray, IntArray

UPDATES = ("grpo", "dr-grpo", "rloo")
WEIGHTINGS = ("rollout", "prompt")

_CHUNK = 2_000_000  # elements of one table of probabilities
_TINY = 1e-300  # scipy's binomial probabilities overflow at smaller pass rates


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


def baseline_update(
    passes: IntArray, budgets: IntArray, baseline: FloatArray, pass_rate: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """As ``group_update`` for advantages r - baseline that come from more than the group itself.

    These need not sum to zero, so the move mean_j A_j (r_j - p) has the true rate p in it; with
    the group's own mean as baseline it is dr-grpo's, whatever p is.

    Args:
        passes, budgets: (m,) of the rollouts that are trained on.
        baseline: (m,) such as the mean reward of all the rollouts that were generated.
        pass_rate: (m,) true pass rates.
    """
    share = passes / np.maximum(budgets, 1)  # (m,) of the group that passed
    up, down = share * (1.0 - baseline), (1.0 - share) * baseline
    tried = budgets > 0
    update = np.where(tried, up * (1.0 - pass_rate) + down * pass_rate, 0.0)
    return update, np.where(tried, up * (1.0 - baseline) + down * baseline, 0.0)


Groups = tuple[IntArray, IntArray, IntArray]  # prompts, budgets, passes, each (m,)


def join_groups(earlier: Groups, later: Groups) -> Groups:
    """The union of two rounds of rollouts, prompts in the order of their first appearance."""
    prompts, budgets, passes = (np.concatenate(pair) for pair in zip(earlier, later, strict=True))
    distinct, first, where = np.unique(prompts, return_index=True, return_inverse=True)
    order = np.argsort(first)

    def total(counts: IntArray) -> IntArray:
        return np.bincount(where, weights=counts, minlength=distinct.size).astype(np.int64)[order]

    return distinct[order], total(budgets), total(passes)


def group_weights(budgets: IntArray, weighting: str) -> FloatArray:
    """Weight of each group in the loss, (m,), summing to 1.

    "rollout": B_i / sum B, every rollout counts alike (a mean over all rollouts or tokens).
    "prompt": 1 / m, every prompt counts alike (a mean per prompt first).
    """
    if weighting == "rollout":
        return np.asarray(budgets / budgets.sum(), dtype=np.float64)
    return np.full(budgets.shape, 1.0 / budgets.size)


def warmup_factor(step: int, warmup_steps: int) -> float:
    """The share of the learning rate at optimiser step 0, 1, ...: (step + 1) / warm-up, then 1."""
    return min(1.0, (step + 1) / max(1, warmup_steps))


def mixed_chance(pass_rate: FloatArray, budgets: IntArray | int) -> FloatArray:
    """The chance that a group is mixed, 1 - p^B - (1-p)^B, elementwise; (m,).

    Exactly 0 for p in {0, 1} and for B in {0, 1}; accurate for p near 0 or 1 too, where the plain
    formula cancels.

    Args:
        pass_rate: (m,) true pass rates in [0, 1].
        budgets: (m,) rollouts, or one number for all.
    """
    p, n = np.asarray(pass_rate, dtype=np.float64), np.asarray(budgets, dtype=np.int64)
    rarer = np.minimum(p, 1.0 - p)  # of pass and failure; 1 - p is exact where it is the smaller
    chance = -np.expm1(n * np.log1p(-rarer)) - rarer**n  # some of the rarer, but not only
    return np.where((n >= 2) & (rarer > 0.0), chance, 0.0)


def expected_group_update(
    pass_rate: FloatArray, budgets: IntArray, kind: str = "grpo"
) -> FloatArray:
    """E[``group_update``] over m ~ Binomial(B, p), exactly, elementwise; (m,).

    For dr-grpo this is p (1-p) (B-1)/B and for rloo p (1-p), in closed form; for grpo the sum over
    m is taken, once for each distinct pair (p, B). Memory: pairs x largest budget, in chunks.

    Args:
        pass_rate: (m,) true pass rates in [0, 1].
        budgets: (m,) rollouts; 0 and 1 give 0.
        kind: a name in UPDATES.
    """
    p, n = np.asarray(pass_rate, dtype=np.float64), np.asarray(budgets, dtype=np.int64)
    p = np.where(p < _TINY, 0.0, p)
    variance = p * (1.0 - p)
    if kind != "grpo":
        share = (n - 1) / np.maximum(n, 1) if kind == "dr-grpo" else n >= 2
        return np.asarray(variance * np.maximum(share, 0.0))
    from scipy import stats  # slow to import, and few allocators need it

    pairs, where = np.unique(np.stack([p, n]), axis=1, return_inverse=True)
    rates, sizes = pairs[0], pairs[1].astype(np.int64)
    updates = np.zeros(rates.size)
    passes = np.arange(int(n.max(initial=0)) + 1)
    rows = max(1, _CHUNK // passes.size)
    for first in range(0, rates.size, rows):
        q, size = rates[first : first + rows, None], sizes[first : first + rows, None]
        spread = np.sqrt(np.maximum(passes * (size - passes), 0)) / np.maximum(size, 1)
        updates[first : first + rows] = (stats.binom.pmf(passes, size, q) * spread).sum(axis=1)
    return np.asarray(updates[where.reshape(-1)])
