"""The largest micro-batch that an update may meet, run once before there is anything to lose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from cobasim.errors import InputError
from cobatrain.update.batching import MicroBatch
from cobatrain.update.config import UpdateConfig
from cobatrain.update.log_probs import token_log_probs


def rehearse(
    model: nn.Module,
    config: UpdateConfig,
    longest: int,
    response: int,
    *,
    reference: nn.Module | None = None,
) -> int:
    """Run forward and backward on as many of the longest rollouts as go into a micro-batch.

    Twice, as the second micro-batch finds the gradients of the first; beside room for Adam's
    moments. Afterwards everything is as before: weights, gradients, random states.

    Args:
        model: of the run, on its device; collective if it is sharded.
        config: of the update.
        longest: tokens of the longest prompt and response.
        response: of these the sampled ones, at least 1 and fewer than ``longest``.
        reference: the model of the KL term, if there is one.

    Returns the tokens of the micro-batch. Raises InputError if the GPU has no room for it.
    """
    rows = max(1, config.micro_tokens // longest)
    parameters = [p for p in model.parameters() if p.requires_grad]
    kept = [p.grad for p in parameters]
    micro = _longest(rows, longest, response, parameters[0].device)
    moments: list[Tensor] = []
    try:
        with update_mode(model, config):
            for parameter in parameters:
                moments += [torch.empty_like(parameter), torch.empty_like(parameter)]
            for _ in range(2):
                log_probs, _entropy = token_log_probs(
                    model, micro, 1.0, config.bf16, config.logit_chunk
                )
                if reference is not None:
                    with torch.no_grad():
                        token_log_probs(reference, micro, 1.0, config.bf16, config.logit_chunk)
                (0.0 * log_probs.sum()).backward()
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"an update would not fit on the GPU: a micro-batch of {rows * longest:,} tokens "
            f"({rows} rollouts of {longest:,}) was tried ({_first_line(error)}); set "
            f"update.micro_tokens to {max(longest, config.micro_tokens // 2)}"
            + ("" if config.gradient_checkpointing else " or update.gradient_checkpointing to true")
            + "; `cobatrain plan` shows what takes memory"
        ) from None
    finally:
        for parameter, gradient in zip(parameters, kept, strict=True):
            parameter.grad = gradient
    return rows * longest


@contextmanager
def update_mode(model: nn.Module, config: UpdateConfig) -> Iterator[None]:
    """The model as an update runs it: without dropout, with checkpointing if it is on; then back.

    Raises InputError for a model that has no gradient checkpointing.
    """
    training = model.training
    try:
        model.train(config.gradient_checkpointing)
        if config.gradient_checkpointing:
            _enable_checkpointing(model)
        yield
    finally:
        model.train(training)


def _enable_checkpointing(model: nn.Module) -> None:
    enable = getattr(model, "gradient_checkpointing_enable", None)
    if enable is None:
        raise InputError(
            f"{type(model).__name__} has no gradient checkpointing: set gradient_checkpointing "
            "to false"
        )
    if not getattr(model, "is_gradient_checkpointing", False):
        enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def _longest(rows: int, longest: int, response: int, device: torch.device) -> MicroBatch:
    """``rows`` rollouts of the same length."""
    shape = (rows, longest - 1)
    mask = torch.zeros(shape, dtype=torch.bool, device=device)
    mask[:, -response:] = True
    first = longest - response - 1
    return MicroBatch(
        rows=np.arange(rows),
        first=first,
        tokens=torch.zeros((rows, longest), dtype=torch.int64, device=device),
        mask=mask[:, first:],
        engine=torch.zeros((rows, response), dtype=torch.float64, device=device),
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split(". ")[0]
