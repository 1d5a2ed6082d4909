"""Held-out accuracy, sampled or computed: avg@k and pass@k, with intervals. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import gammaln

from cobasim.arrays import FloatArray, IntArray
from cobasim.scores import Interval, mean_interval, share_interval
from cobatrain.tasks import passed


def pass_at_k(samples: int, correct: IntArray, k: int) -> FloatArray:
    """Unbiased pass@k of each prompt (arXiv 2107.03374): 1 - C(n - c, k) / C(n, k), (m,).

    Args:
        samples: n completions of each prompt.
        correct: (m,) how many passed.
        k: 1 <= k <= n.

    Raises ValueError for any other k.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@k needs 1 <= k <= {samples} samples, got k = {k}")
    wrong = samples - correct
    possible = np.maximum(wrong, k)

    def log_choose(n: IntArray | int) -> Any:
        return gammaln(np.asarray(n) + 1.0) - gammaln(np.asarray(n) - k + 1.0)

    missed = np.exp(log_choose(possible) - log_choose(samples))
    return np.where(wrong < k, 1.0, 1.0 - missed)


def summarise(
    rewards: FloatArray, levels: Sequence[str], *, at: Sequence[int] = ()
) -> dict[str, Any]:
    """Scores of one data set.

    Args:
        rewards: (m, k) reward of each completion of each prompt.
        levels: m difficulty levels.
        at: further k to give pass@k for; 1 and k itself are always given.

    Returns accuracy (avg@k) with its 95 % interval over prompts, pass@k, and accuracy by level.
    """
    per_prompt = rewards.mean(axis=1)
    interval = _interval(per_prompt)
    samples = rewards.shape[1]
    correct = passed(rewards).sum(axis=1)
    return {
        "accuracy": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "prompts": len(per_prompt),
        "samples": samples,
        "pass_at": {
            str(k): float(pass_at_k(samples, correct, k).mean())
            for k in sorted({1, samples, *(k for k in at if k <= samples)})
        },
        "levels": _by_level(per_prompt, levels),
    }


def summarise_exact(
    rates: FloatArray, levels: Sequence[str], *, at: Sequence[int]
) -> dict[str, Any]:
    """Scores of one data set from true pass rates (m,), without sampling noise.

    As ``summarise``, but ``samples`` is 0, ``exact`` is true, and pass@k is the mean of
    1 - (1 - p)^k. The interval is over prompts: it says how far another draw of prompts might be,
    not how far a repeated evaluation of these would be (it would be the same).
    """
    interval = share_interval(np.clip(rates, 0.0, 1.0))
    log_fail = np.log1p(-np.minimum(rates, 1.0 - 2.0**-53))  # finite
    return {
        "accuracy": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "prompts": len(rates),
        "samples": 0,
        "exact": True,
        "pass_at": {str(k): float(-np.expm1(k * log_fail).mean()) for k in sorted({1, *at})},
        "levels": _by_level(rates, levels),
    }


def _interval(per_prompt: FloatArray) -> Interval:
    """Over prompts; it stays in [0, 1] where rewards do (a reward of one's own may be any)."""
    if per_prompt.min() < 0 or per_prompt.max() > 1:
        return mean_interval(per_prompt)
    return share_interval(per_prompt)


def _by_level(per_prompt: FloatArray, levels: Sequence[str]) -> dict[str, float]:
    names = np.asarray(levels)
    return {str(level): float(per_prompt[names == level].mean()) for level in dict.fromkeys(levels)}
