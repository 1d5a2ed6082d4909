"""Rollouts of one prompt behind each other in one row, so that the prompt is run only once.

    row        p p p p  a a a  b b  c c c c
    position   0 1 2 3  4 5 6  4 5  4 5 6 7

Each response sees the prompt and itself, so log-probs and gradients are those of separate rows, up
to rounding. A response's last token predicts nothing and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from cobasim.arrays import IntArray
from cobasim.errors import InputError
from cobatrain.update.batch import LogProbRow, TokenRow
from cobatrain.update.batching import MicroBatch, Packed, micro_batches, pad

TESTED = ("llama", "qwen2", "qwen3")
"""Architectures, by ``config.model_type``, that are packed unless the config says otherwise."""
LONGEST = 4096
"""Tokens of a row at most: its attention has the square of that many entries."""


@dataclass(frozen=True)
class Piece:
    """The rollouts ``rows`` (b,) of one micro-batch.

    ``row_of`` (b,), ascending, is the packed row of each; None: each has a row of its own.
    """

    rows: IntArray
    row_of: IntArray | None
    positions: int
    """That the model runs through, padding included."""
    tokens: int
    """Of these no padding."""


def longest_row(model: nn.Module, wanted: bool | None) -> int:
    """Tokens of a packed row at most, 0 if rollouts of this model are not to be packed.

    Three times the model's width at most: attention then costs half of what the rest does.

    Args:
        model: a causal language model.
        wanted: True packs with any architecture that can; None with those that were ``TESTED``.

    Raises InputError if it is wanted and cannot be.
    """
    config = getattr(model, "config", None)
    kind = getattr(config, "model_type", None)
    attention = getattr(config, "_attn_implementation", None)
    windows = getattr(config, "sliding_window", None) and getattr(
        config, "use_sliding_window", True
    )
    able = attention == "sdpa" and not windows
    if wanted and not able:
        raise InputError(
            f"update.shared_prompts needs a model with sdpa attention and no sliding window, not "
            f"{kind or type(model).__name__} with {attention or 'another'} attention: set it to "
            "null or false"
        )
    if not able or wanted is False or (wanted is None and kind not in TESTED):
        return 0
    return min(LONGEST, 3 * int(getattr(config, "hidden_size", LONGEST)))


def pieces(
    prompts: ArrayLike,
    responses: ArrayLike,
    group: ArrayLike,
    max_tokens: int,
    longest: int = 0,
    always: bool = False,
) -> list[Piece]:
    """Split rollouts 0 .. n-1 into micro-batches of at most ``max_tokens`` tokens.

    Args:
        prompts: (n,) tokens of each rollout's prompt.
        responses: (n,) of its response.
        group: (n,) a number for each prompt.
        max_tokens: of a micro-batch, padding counted (a longer rollout goes alone).
        longest: tokens of a packed row at most; 0 packs nothing.
        always: pack even where it saves less than a fifth of the tokens.

    Each rollout is in exactly one piece.
    """
    before, sampled = np.asarray(prompts), np.asarray(responses)
    lengths = before + sampled
    alone = [
        Piece(rows, None, len(rows) * int(lengths[rows].max()), int(lengths[rows].sum()))
        for rows in micro_batches(lengths, max_tokens)
    ]
    if not longest or not len(lengths):
        return alone
    order, unit = _units(before, sampled, np.asarray(group), min(longest, max_tokens))
    first, size = _runs(unit)
    length = before[order][first] + np.add.reduceat(sampled[order] - 1, first)
    together = []
    for units in micro_batches(length, max_tokens):
        taken = np.repeat(first[units], size[units]) + _ramps(size[units])
        row_of = np.repeat(np.arange(len(units)), size[units])
        longest_here = int(length[units].max())
        together.append(
            Piece(order[taken], row_of, len(units) * longest_here, int(length[units].sum()))
        )
    cost = [sum(piece.positions for piece in plan) for plan in (together, alone)]
    return together if always or cost[0] < 0.8 * cost[1] else alone


def _units(
    before: IntArray, sampled: IntArray, group: IntArray, longest: int
) -> tuple[IntArray, IntArray]:
    """Rollouts in an order in which those of a row are neighbours, and the row of each, ascending.

    A row is longer than ``longest`` only if it holds a single rollout.
    """
    order = np.lexsort((sampled, group))
    group, added = group[order], sampled[order] - 1
    start, count = _runs(group)
    done = np.cumsum(added) - added
    done -= np.repeat(done[start], count)  # of the group's earlier responses
    # a row that takes whole strides of its group's tokens has at most one response more
    largest = np.repeat(np.maximum.reduceat(added, start), count)
    stride = longest - before[order] - largest
    part = np.where(stride > 0, done // np.maximum(stride, 1), np.arange(len(group)))
    new = np.diff(part, prepend=-1) != 0
    new[start] = True
    return order, np.cumsum(new) - 1


def pack(
    prompts: Sequence[TokenRow],
    responses: Sequence[TokenRow],
    log_probs: Sequence[LogProbRow],
    piece: Piece,
    device: torch.device | str = "cpu",
) -> MicroBatch:
    """The micro-batch of a piece, packed if that says so."""
    micro = pad(prompts, responses, log_probs, piece.rows, device)
    if piece.row_of is None:
        return micro
    row_of = piece.row_of
    first, count = _runs(row_of)
    number = _ramps(count)  # of a response in its row
    sampled = np.array([len(responses[i]) for i in piece.rows])
    before = np.array([len(prompts[i]) for i in piece.rows[first]])
    fed = sampled - 1
    end = before + np.add.reduceat(fed, first)
    column = np.arange(end.max())
    is_prompt = column < before[:, None]
    is_response = ~is_prompt & (column < end[:, None])
    tokens, positions = np.zeros((2, *is_prompt.shape), dtype=np.int64)
    segment = np.full(is_prompt.shape, -1)
    tokens[is_prompt] = np.concatenate([np.asarray(prompts[i]) for i in piece.rows[first]])
    tokens[is_response] = np.concatenate([np.asarray(responses[i])[:-1] for i in piece.rows])
    segment[is_prompt] = 0
    segment[is_response] = np.repeat(number + 1, fed)
    positions[is_prompt] = np.broadcast_to(column, is_prompt.shape)[is_prompt]
    within = _ramps(fed)
    positions[is_response] = within + np.repeat(before[row_of], fed)
    earlier = np.cumsum(fed) - fed
    begin = before[row_of] + earlier - earlier[first][row_of]
    token = _ramps(sampled)
    most = int(number.max()) + 1
    copy = tokens.size + row_of * most + number  # of the prompt's last, for a response's first
    later = np.repeat(row_of * len(column) + begin, sampled) + token - 1
    source = np.where(token == 0, np.repeat(copy, sampled), later)
    ends = np.arange(len(before)) * len(column) + before - 1
    places = (tokens, positions, segment, ends)
    a, b, c, d, e = (torch.from_numpy(part).to(device) for part in (*places, source))
    return replace(micro, packed=Packed(a, b, c, d, e, most))


def _runs(values: IntArray) -> tuple[IntArray, IntArray]:
    """Where each run of equal neighbours starts, and how long it is; of one value at least."""
    first = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
    return first, np.diff(np.append(first, len(values)))


def _ramps(counts: IntArray) -> IntArray:
    """0 .. counts[0] - 1, 0 .. counts[1] - 1, ..."""
    ramps: IntArray = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return ramps
