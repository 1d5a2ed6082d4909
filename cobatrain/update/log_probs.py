"""The model's own log-probs of sampled tokens, and the entropy where it sampled them.

Whole logits are the largest thing in a trainer's memory: 32,768 tokens and 152,000 entries of a
vocabulary are 19 GiB in float32, several times over in backward. Here the model's output layer sees
a chunk of the sampled positions at a time, and backward makes each chunk's logits again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cobatrain.update.batching import MicroBatch
from cobatrain.update.config import UpdateConfig

LOGIT_CHUNK: int = UpdateConfig.model_fields["logit_chunk"].default

_Select = Callable[[Tensor, Callable[[Tensor], Tensor], int], Tensor]
_changes_logits: WeakSet[nn.Module] = WeakSet()


def token_log_probs(
    model: nn.Module,
    micro: MicroBatch,
    temperature: float,
    bf16: bool = False,
    logit_chunk: int = LOGIT_CHUNK,
) -> tuple[Tensor, Tensor]:
    """Log-prob of every target and entropy (nats, without gradient) of its distribution, (b, t).

    In float32 at least, over logits / temperature; 0 outside ``micro.mask``. About ``logit_chunk``
    logits exist at a time; if there are more, they are recomputed in backward. A model whose logits
    are not its output layer's own (soft caps, scaling) or that has no such layer makes them whole,
    and only the softmaxes are taken by chunks.
    """
    autocast: AbstractContextManager[object] = (
        torch.autocast(micro.tokens.device.type, dtype=torch.bfloat16) if bf16 else nullcontext()
    )
    targets = micro.targets[micro.mask]
    inputs, predicting = _inputs(model, micro)

    def select(states: Tensor, logits_of: Callable[[Tensor], Tensor], entries: int) -> Tensor:
        kept = predicting(states)  # (sampled tokens, ...)
        return _by_chunks(kept, targets, logits_of, temperature, max(1, logit_chunk // entries))

    with autocast:
        found = None
        head = output_layer(model)
        if head is not None:
            found = _through(model, head, inputs, select)
        if found is None:
            logits = _forward(model, inputs)
            found = select(logits, lambda rows: rows, logits.shape[-1])
    places = micro.mask[..., None].expand(*micro.mask.shape, 2)
    both = found.new_zeros(places.shape).masked_scatter(places, found)
    return both[..., 0], both[..., 1].detach()


def _inputs(
    model: nn.Module, micro: MicroBatch
) -> tuple[dict[str, Any], Callable[[Tensor], Tensor]]:
    """What the model is called with, and which of its states predict the sampled tokens."""
    packed = micro.packed
    if packed is not None:
        inputs = {
            "input_ids": packed.tokens,
            "position_ids": packed.positions,
            "attention_mask": packed.attention,
        }
        return inputs, packed.predicting
    keep = micro.tokens.shape[1] - micro.first
    options = {"logits_to_keep": keep} if _keeps_logits(model) else {}
    return (
        {"input_ids": micro.tokens, **options},
        lambda states: states[:, -keep:-1][micro.mask],
    )


def output_layer(model: nn.Module) -> nn.Module | None:
    """The layer that makes the model's logits; None if there is none, or more is done to them."""
    if model in _changes_logits:
        return None
    find = getattr(model, "get_output_embeddings", None)
    head = None if find is None else find()
    return head if isinstance(head, nn.Module) and hasattr(head, "weight") else None


def _through(
    model: nn.Module, head: nn.Module, inputs: dict[str, Any], select: _Select
) -> Tensor | None:
    """What ``select`` makes of the output layer's input; None if its output is not the logits."""
    plain: Callable[[Tensor], Tensor] = head.forward
    weight = head.weight
    assert isinstance(weight, Tensor)
    entries = len(weight)
    given: list[tuple[Tensor, int]] = []

    def instead(states: Tensor) -> Tensor:
        found = select(states, plain, entries)
        given.append((found, found._version))
        return found

    with _replaced(head, instead):
        found = _forward(model, inputs)
    if len(given) == 1 and found is given[0][0] and found._version == given[0][1]:
        return found
    _changes_logits.add(model)
    return None


def _forward(model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    logits: Tensor = model(**inputs, use_cache=False).logits
    return logits


@contextmanager
def _replaced(layer: nn.Module, forward: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """The layer computes ``forward`` instead, inside the model's own pass.

    So hooks around the model, those of sharding among them, work as ever.
    """
    layer.forward = forward
    try:
        yield
    finally:
        del layer.forward  # the class's own again


def _by_chunks(
    states: Tensor,
    targets: Tensor,
    logits_of: Callable[[Tensor], Tensor],
    temperature: float,
    rows: int,
) -> Tensor:
    """Log-probs and entropies, (n, 2), of n positions, ``rows`` at a time."""

    def part(chunk: Tensor, target: Tensor) -> Tensor:
        chosen, entropy = _Chosen.apply(  # type: ignore[no-untyped-call]
            logits_of(chunk), target, temperature
        )
        return torch.stack([chosen, entropy], dim=-1)

    recompute = len(states) > rows and torch.is_grad_enabled()
    found = []
    for chunk, target in zip(torch.split(states, rows), torch.split(targets, rows), strict=True):
        found.append(
            checkpoint(part, chunk, target, use_reentrant=False)
            if recompute
            else part(chunk, target)
        )
    return torch.cat(found)


class _Chosen(torch.autograd.Function):
    """Log-probs of targets (n,) and entropies (n,) from logits (n, V).

    Autograd's own way keeps or makes five float32 copies of the logits; this one needs the logits
    and one copy: d log p_y / d z_v = ([v = y] - p_v) / T.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        scaled = _scaled(logits, temperature)
        normaliser = scaled.logsumexp(dim=-1)
        chosen = scaled.gather(-1, targets[:, None]).squeeze(-1) - normaliser
        probability = (scaled - normaliser[:, None]).exp_()
        entropy = normaliser - probability.mul_(scaled).sum(dim=-1)
        ctx.save_for_backward(logits, targets, normaliser)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(entropy)
        return chosen, entropy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        logits, targets, normaliser = ctx.saved_tensors
        given = gradients[0][:, None]
        scaled = _scaled(logits, ctx.temperature)
        found = torch.sub(
            scaled, normaliser[:, None], out=None if scaled is logits else scaled
        ).exp_()
        found.mul_(-given).scatter_add_(-1, targets[:, None], given).div_(ctx.temperature)
        return found.to(logits.dtype), None, None


def _scaled(logits: Tensor, temperature: float) -> Tensor:
    """In float32 at least; the logits themselves if nothing is to be done."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return wide if temperature == 1.0 else wide / temperature


def _keeps_logits(model: nn.Module) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters
