"""Log-probabilities of given tokens under a torch model: what engines are checked against."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from cobatrain.engines import Rollouts


def next_token_log_probs(
    model: torch.nn.Module,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    temperature: float = 1.0,
) -> torch.Tensor:
    """Return log p(input_ids[:, t + 1] | input_ids[:, : t + 1]) for every t. Differentiable.

    Args:
        model: a causal language model of transformers.
        input_ids: (batch, time) int64, padded on either side.
        attention_mask: (batch, time), 1 for tokens, 0 for padding.
        temperature: divides the logits; must be > 0.

    Returns:
        (batch, time - 1) float32 natural logarithms; entries next to padding mean nothing.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; expected a value > 0")
    positions = (attention_mask.long().cumsum(dim=-1) - 1).clamp(min=0)
    logits = model(
        input_ids=input_ids, attention_mask=attention_mask, position_ids=positions, use_cache=False
    ).logits[:, :-1]
    scaled = logits.float() / temperature
    # log_softmax at one index without keeping a second (batch, time, vocabulary) tensor
    chosen = scaled.gather(-1, input_ids[:, 1:].unsqueeze(-1)).squeeze(-1)
    result: torch.Tensor = chosen - scaled.logsumexp(dim=-1)
    return result


def log_probs_of(
    model: torch.nn.Module,
    prompt_tokens: Sequence[Sequence[int]],
    rollouts: Rollouts,
    temperature: float = 1.0,
    max_tokens_per_batch: int = 16384,
) -> list[list[float]]:
    """Return the log-probability of every completion token under `model`, without gradient.

    Same form as `Rollouts.log_probs`: n lists, one value for each completion token. Equal to the
    engine's values if the weights are, top_p is 1 and the temperature is the sampling one (use 1
    for greedy decoding). Right-padded batches, shortest sequences first, at most
    max_tokens_per_batch tokens each, padding included (a longer sequence goes alone).
    """
    n = len(rollouts)
    sequences = [
        [*prompt_tokens[p], *t] for p, t in zip(rollouts.prompt, rollouts.tokens, strict=True)
    ]
    result: list[list[float]] = [[] for _ in range(n)]
    filled = np.flatnonzero(rollouts.lengths > 0)
    lengths = np.array([len(s) for s in sequences], dtype=np.int64)
    order = filled[np.argsort(lengths[filled], kind="stable")]
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for start, stop in pairwise(_batch_edges(lengths[order], max_tokens_per_batch)):
                rows = order[start:stop]
                width = int(lengths[rows].max())
                ids = torch.zeros((len(rows), width), dtype=torch.long)
                mask = torch.zeros((len(rows), width), dtype=torch.long)
                for row, r in enumerate(rows):
                    ids[row, : lengths[r]] = torch.tensor(sequences[r])
                    mask[row, : lengths[r]] = 1
                values = next_token_log_probs(
                    model, ids.to(device), mask.to(device), temperature
                ).cpu()
                for row, r in enumerate(rows):
                    count = len(rollouts.tokens[r])
                    result[r] = values[row, lengths[r] - 1 - count : lengths[r] - 1].tolist()
    finally:
        model.train(was_training)
    return result


def _batch_edges(sorted_lengths: np.ndarray, limit: int) -> list[int]:
    """Cut ascending lengths into runs whose count times longest stays within the limit."""
    edges = [0]
    for i, length in enumerate(sorted_lengths):
        if i > edges[-1] and (i - edges[-1] + 1) * length > limit:
            edges.append(i)
    if len(sorted_lengths):
        edges.append(len(sorted_lengths))
    return edges
