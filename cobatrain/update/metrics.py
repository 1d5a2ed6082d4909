"""What an update reports: sums over micro-batches, made into means over all ranks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cobatrain.parallel import Parallel
from cobatrain.update.config import UpdateConfig
from cobatrain.update.plan import LossTerms, Plan

SUMS = (
    "loss",
    "tokens",
    "rollouts",
    "ratio",
    "clipped",
    "entropy",
    "kl",
    "tis",
    "truncated",
    "gap",
    "gap_tokens",
)


class Sums:
    """Running sums over the sampled tokens that were run; on the device until the end."""

    def __init__(self, device: torch.device) -> None:
        self._values = {name: torch.zeros((), dtype=torch.float64, device=device) for name in SUMS}
        self._gap_max = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, **values: Tensor | float) -> None:
        """Add to the sums of these names, each of ``SUMS``."""
        for name, value in values.items():
            self._values[name] += value

    def add_gap(self, gap: Tensor, mask: Tensor) -> None:
        """Add absolute differences from the engine's log-probs, (b, t), 0 outside the mask."""
        self.add(gap=gap.sum(), gap_tokens=mask.sum())
        self._gap_max = torch.maximum(self._gap_max, gap.max().double())

    def over_ranks(self, parallel: Parallel) -> dict[str, float]:
        """The sums over all ranks, and ``gap_max``. Collective."""
        total = parallel.total(torch.stack([self._values[name] for name in SUMS]))
        result = dict(zip(SUMS, total.tolist(), strict=True))
        return {**result, "gap_max": float(parallel.largest(self._gap_max))}


def update_metrics(
    total: dict[str, float],
    norms: Sequence[float],
    learning_rate: float,
    terms: LossTerms,
    plan: Plan,
    config: UpdateConfig,
) -> dict[str, float | None]:
    """The metrics that ``update`` documents, from the sums over all ranks.

    ``norms`` are the gradient norms of the mini-batches, before clipping.
    """

    def mean(name: str, per: str = "tokens", when: bool = True) -> float | None:
        return total[name] / total[per] if when and total[per] else None

    return {
        "loss": total["loss"],
        "grad_norm": sum(norms) / len(norms),
        "learning_rate": learning_rate,
        "clip_fraction": mean("clipped"),
        "ratio_mean": mean("ratio"),
        "entropy": mean("entropy"),
        "kl": mean("kl", when=config.kl_coef > 0),
        "tis_mean": mean("tis", when=config.tis_cap is not None),
        "tis_truncated": mean("truncated", when=config.tis_cap is not None),
        "log_prob_gap_mean": mean("gap", "gap_tokens"),
        "log_prob_gap_max": total["gap_max"] if total["gap_tokens"] else None,
        "rollouts": float(terms.rollouts),
        "rollouts_trained": total["rollouts"],
        "tokens": float(terms.tokens),
        "tokens_trained": total["tokens"],
        "rollouts_with_signal": float(terms.signal),
        "cut_off": terms.cut_off,
        "penalty": terms.penalty,
        "micro_batches": float(plan.micro_batches),
        "padding_share": plan.padding_share,
    }
