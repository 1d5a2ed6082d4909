"""The model's own log-probs of sampled tokens, and the entropy where it sampled them."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cobatrain.update.batching import MicroBatch
from cobatrain.update.config import UpdateConfig

LOGIT_CHUNK: int = UpdateConfig.model_fields["logit_chunk"].default


def token_log_probs(
    model: nn.Module,
    micro: MicroBatch,
    temperature: float,
    bf16: bool = False,
    logit_chunk: int = LOGIT_CHUNK,
) -> tuple[Tensor, Tensor]:
    """Log-prob of every target and entropy (nats, without gradient) of its distribution, (b, t).

    In float32 at least, over logits / temperature. Positions outside ``micro.mask`` mean nothing.
    Softmaxes are taken over about ``logit_chunk`` logits at a time; if there are more, they are
    recomputed in backward.
    """
    width = micro.tokens.shape[1]
    keep = width - micro.first
    autocast: AbstractContextManager[object] = (
        torch.autocast(micro.tokens.device.type, dtype=torch.bfloat16) if bf16 else nullcontext()
    )
    options = {"logits_to_keep": keep} if _keeps_logits(model) else {}
    with autocast:
        logits = model(input_ids=micro.tokens, use_cache=False, **options).logits
    logits = logits[:, -keep:-1].flatten(0, 1)
    targets = micro.targets.flatten()
    rows = max(1, logit_chunk // logits.shape[-1])
    recompute = len(logits) > rows and torch.is_grad_enabled()
    log_probs, entropies = [], []
    for part, target in zip(torch.split(logits, rows), torch.split(targets, rows), strict=True):
        chosen, entropy = (
            checkpoint(_select, part, target, temperature, use_reentrant=False)
            if recompute
            else _select(part, target, temperature)
        )
        log_probs.append(chosen)
        entropies.append(entropy)
    shape = micro.targets.shape
    return torch.cat(log_probs).view(shape), torch.cat(entropies).view(shape)


def _select(logits: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    scaled = logits if logits.dtype == torch.float64 else logits.float()
    if temperature != 1.0:
        scaled = scaled / temperature
    normaliser = scaled.logsumexp(dim=-1)
    chosen = scaled.gather(-1, targets[:, None]).squeeze(-1) - normaliser
    with torch.no_grad():
        probability = (scaled - normaliser[:, None]).exp()
        entropy = normaliser - (probability * scaled).sum(dim=-1)
    return chosen, entropy


def _keeps_logits(model: nn.Module) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters
