"""The largest micro-batch that an update may meet, run once before there is anything to lose."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from cobasim.errors import InputError
from cobatrain.update.config import UpdateConfig
from cobatrain.update.log_probs import token_log_probs
from cobatrain.update.mode import update_mode
from cobatrain.update.packing import Piece, longest_row, pack


def rehearse(
    model: nn.Module,
    config: UpdateConfig,
    longest: int,
    response: int,
    *,
    reference: nn.Module | None = None,
) -> int:
    """Run forward and backward on as many of the longest rollouts as go into a micro-batch.

    Twice, as the second micro-batch finds the gradients of the first; packed the second time, if
    an update may pack (``config.shared_prompts``); beside room for Adam's moments.
    Afterwards everything is as before: weights, gradients, random states.

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
    micros = [
        pack(
            [[0] * (longest - response)] * len(piece.rows),
            [[0] * response] * len(piece.rows),
            [[0.0] * response] * len(piece.rows),
            piece,
            parameters[0].device,
        )
        for piece in _largest(config, longest, response, longest_row(model, config.shared_prompts))
    ]
    moments: list[Tensor] = []
    try:
        with update_mode(model, config):
            for parameter in parameters:
                moments += [torch.empty_like(parameter), torch.empty_like(parameter)]
            for micro in micros:
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


def _largest(config: UpdateConfig, longest: int, response: int, row: int) -> list[Piece]:
    """Two full micro-batches of the longest rollouts; the second packed, if rollouts may be."""
    rows = max(1, config.micro_tokens // longest)
    plain = Piece(np.arange(rows), None, rows * longest, rows * longest)
    if not row:
        return [plain, plain]
    prompt, fed = longest - response, max(1, response - 1)
    together = max(1, (min(row, config.micro_tokens) - prompt) // fed)
    length = prompt + together * (response - 1)
    rows = max(1, config.micro_tokens // length)
    row_of = np.repeat(np.arange(rows), together)
    return [plain, Piece(np.arange(len(row_of)), row_of, rows * length, rows * length)]


def _first_line(error: Exception) -> str:
    return str(error).strip().split(". ")[0]
