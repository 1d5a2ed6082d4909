"""Policy-gradient losses per token (pure torch): no model, no batch, no averaging.

All arrays are padded, (b, t): b rollouts, t positions, ``mask`` true at sampled tokens. Values at
masked-out positions are ignored, whatever they are, and results there are 0. The caller sums with
``cobatrain.update.token_weights``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""Log ratios are clipped to +-20 before exp, so that an overflow cannot turn 0 * inf into NaN."""


@dataclass(frozen=True)
class TokenLoss:
    """What a loss gives for every token: ``loss``, ``ratio`` (detached) and ``clipped``, (b, t)."""

    loss: Tensor
    ratio: Tensor
    clipped: Tensor


def clip_loss(
    new: Tensor,
    old: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None = None,
) -> TokenLoss:
    """-min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), r = pi / pi_old of each token.

    PPO's clipped surrogate (arXiv 1707.06347) with separate bounds (clip-higher, DAPO, arXiv
    2503.14476). ``new``, ``old`` (b, t) log-probs, gradients flow through ``new`` only;
    ``advantages`` (b,). With ``dual_clip`` c > 1 the surrogate of a negative advantage is at least
    c A, max(min(...), c A): dual-clip PPO, arXiv 1912.09729, Eq. 5. Without it that loss grows
    with the ratio without bound.
    """
    log_ratio = _masked(new - old.detach(), mask)
    return _clipped(log_ratio, advantages[:, None], mask, clip_low, clip_high, dual_clip)


def gspo_loss(
    new: Tensor,
    old: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None = None,
) -> TokenLoss:
    """The clipped surrogate with one ratio for the rollout: GSPO, arXiv 2507.18071, Eqs. 5 and 7.

    s = exp(mean over tokens of log(pi / pi_old)), clipped as in ``clip_loss``; every token of the
    rollout carries the rollout's loss, so that the token mean of a rollout is its sequence loss.
    The paper clips much tighter than a token ratio: 3e-4 below and 4e-4 above. ``dual_clip`` as in
    ``clip_loss``, of this ratio.
    """
    log_ratio = _masked(new - old.detach(), mask)
    length = mask.sum(dim=1, keepdim=True).clamp(min=1)
    sequence = (log_ratio.sum(dim=1, keepdim=True) / length).expand_as(log_ratio)
    return _clipped(sequence, advantages[:, None], mask, clip_low, clip_high, dual_clip)


LOSSES: dict[
    str, Callable[[Tensor, Tensor, Tensor, Tensor, float, float, float | None], TokenLoss]
] = {
    "clip": clip_loss,
    "gspo": gspo_loss,
}
"""Losses by name: (new, old, advantages, mask, clip_low, clip_high, dual_clip) -> TokenLoss."""


def k3(new: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """The k3 estimate of KL(pi || reference) at each sampled token (b, t), never negative.

    exp(d) - d - 1 with d = log reference - log pi (Schulman's note on KL estimators; GRPO, arXiv
    2402.03300, Eq. 4). Gradients flow through ``new``.
    """
    d = _masked(reference.detach() - new, mask).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return torch.expm1(d) - d


def importance_weights(old: Tensor, engine: Tensor, mask: Tensor, cap: float) -> Tensor:
    """min(pi_old / pi_engine, cap) of each token (b, t), without gradient.

    Truncated importance sampling (Yao et al. 2025, "Your efficient RL framework secretly brings
    you off-policy RL training"): the engine that sampled a token does not give it exactly the
    probability that the trained model does.
    """
    log_ratio = _masked(old.detach() - engine.detach(), mask)
    ratio = log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp().clamp(max=cap)
    return _masked(ratio, mask)


def _clipped(
    log_ratio: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None,
) -> TokenLoss:
    ratio = log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    above = (advantages > 0) & (ratio > 1 + clip_high)
    below = (advantages < 0) & (ratio < 1 - clip_low)
    bounded = torch.where(above, torch.full_like(ratio, 1 + clip_high), ratio)
    bounded = torch.where(below, torch.full_like(ratio, 1 - clip_low), bounded)
    if dual_clip is not None:
        beyond = (advantages < 0) & (ratio > dual_clip)
        bounded = torch.where(beyond, torch.full_like(ratio, dual_clip), bounded)
        below = below | beyond
    return TokenLoss(
        loss=_masked(-bounded * advantages, mask),
        ratio=_masked(ratio.detach(), mask),
        clipped=(above | below) & mask,
    )


def _masked(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values, torch.zeros_like(values))
