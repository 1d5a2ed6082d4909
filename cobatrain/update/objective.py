"""The loss of one micro-batch: log-probs, clipped surrogate, corrections, weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cobatrain.lora import adapters_off
from cobatrain.update.batching import MicroBatch
from cobatrain.update.config import UpdateConfig
from cobatrain.update.log_probs import token_log_probs
from cobatrain.update.losses import LOSSES, TokenLoss, importance_weights, k3
from cobatrain.update.metrics import Sums
from cobatrain.update.plan import LossTerms


@dataclass(frozen=True)
class Objective:
    """The loss of one update as a function of its micro-batches; ``sums`` collects metrics."""

    model: nn.Module
    reference: nn.Module | None
    config: UpdateConfig
    temperature: float
    terms: LossTerms
    sums: Sums

    def log_probs(self, model: nn.Module, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """Log-probs and entropies of a micro-batch's targets under ``model``, (b, t)."""
        config = self.config
        return token_log_probs(model, micro, self.temperature, config.bf16, config.logit_chunk)

    def loss(self, micro: MicroBatch, old: Tensor | None, *, first_step: bool) -> Tensor:
        """The weighted loss of one micro-batch, a number with gradient.

        ``old`` are log-probs from before the first step; None: the engine's or, if this is the only
        step, the model's own from this pass (a separate pass would give the same).
        """
        config, mask = self.config, micro.mask
        new, entropy = self.log_probs(self.model, micro)
        engine = micro.engine.to(new.dtype)
        if old is None:
            old = engine if config.old_log_probs == "engine" else new.detach()
        advantage, weight = (
            torch.from_numpy(values[micro.rows]).to(new.device, new.dtype)
            if len(micro.rows)
            else new.new_zeros(len(new))  # a filler
            for values in (self.terms.advantage, self.terms.weight)
        )
        surrogate = LOSSES[config.loss](
            new, old, advantage, mask, config.clip_low, config.clip_high, config.dual_clip
        )
        token_loss = self._with_kl(self._corrected(surrogate.loss, old, engine, mask), new, micro)
        loss = (token_loss * weight[:, None]).sum() * config.minibatches
        with torch.no_grad():
            self._count(loss, surrogate, entropy, micro)
            if first_step or config.old_log_probs == "recompute":
                ours = new if first_step else old
                self.sums.add_gap(torch.where(mask, (ours - engine).abs(), 0.0), mask)
        return loss

    def _corrected(self, token_loss: Tensor, old: Tensor, engine: Tensor, mask: Tensor) -> Tensor:
        """With truncated importance sampling against the engine, if it is on."""
        cap = self.config.tis_cap
        if cap is None:
            return token_loss
        correction = importance_weights(old, engine, mask, cap)
        self.sums.add(tis=correction.sum(), truncated=((correction >= cap) & mask).sum())
        return token_loss * correction

    def _with_kl(self, token_loss: Tensor, new: Tensor, micro: MicroBatch) -> Tensor:
        """With the KL to the reference model, if it is on."""
        coefficient = self.config.kl_coef
        if coefficient == 0 or self.reference is None:
            return token_loss
        with torch.no_grad(), adapters_off(self.reference):
            log_reference, _ = self.log_probs(self.reference, micro)
        divergence = k3(new, log_reference, micro.mask)
        self.sums.add(kl=divergence.detach().sum())
        return token_loss + coefficient * divergence

    def _count(
        self, loss: Tensor, surrogate: TokenLoss, entropy: Tensor, micro: MicroBatch
    ) -> None:
        self.sums.add(
            loss=loss.detach() / self.config.minibatches,
            tokens=micro.mask.sum(),
            rollouts=len(micro.rows),
            ratio=surrogate.ratio.sum(),
            clipped=surrogate.clipped.sum(),
            entropy=torch.where(micro.mask, entropy, 0.0).sum(),
        )
