"""Rollouts of all lengths -> micro-batches of at most so many tokens, with little padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.errors import InputError
from cobatrain.update.batch import LogProbRow, TokenRow


def micro_batches(lengths: ArrayLike, max_tokens: int, slack: float = 0.1) -> list[IntArray]:
    """Split rollouts 0 .. n-1 into micro-batches of at most ``max_tokens`` tokens, padding counted.

    ``lengths`` (n,) tokens of prompt and response. Rollouts are sorted by length, longest first,
    and a micro-batch is filled until it is full or, once it holds ``max_tokens`` / 16, until the
    next rollout is shorter than (1 - ``slack``) of its longest: a full micro-batch of short
    rollouts can be a quarter padding otherwise. With ``slack`` 1 this has the fewest micro-batches
    of all splits of the sorted list. Each index appears in exactly one. The limit is exceeded only
    by a single rollout that is longer than it, which then stands alone. Raises
    InputError if a value is invalid.
    """
    if max_tokens < 1:
        raise InputError(f"the tokens of a micro-batch must be at least 1, got {max_tokens}")
    if not 0 <= slack <= 1:
        raise InputError(f"the slack must be in [0, 1], got {slack}")
    tokens = np.asarray(lengths, dtype=np.int64)
    if tokens.size and tokens.min() < 1:
        raise InputError(f"rollouts have at least 1 token, got a length of {tokens.min()}")
    order = np.argsort(-tokens, kind="stable")
    negated = -tokens[order]  # ascending, for the search
    plan = []
    start = 0
    while start < len(order):
        longest = -int(negated[start])
        similar = int(np.searchsorted(negated, -(1 - slack) * longest, side="right")) - start
        few = -(-max_tokens // (16 * longest))
        rows = max(1, min(max_tokens // longest, max(similar, few)))
        plan.append(order[start : start + rows])
        start += rows
    return plan


def mini_batches(n: int, parts: int, rng: np.random.Generator | None = None) -> list[IntArray]:
    """Split rollouts 0 .. n-1 into ``parts`` mini-batches whose sizes differ by at most 1.

    Without ``rng`` every parts-th rollout goes together, which spreads a group (whose rollouts
    are neighbours) over the mini-batches; with it, at random.
    """
    if parts < 1:
        raise InputError(f"the number of mini-batches must be at least 1, got {parts}")
    order = np.arange(n) if rng is None else rng.permutation(n)
    return [np.sort(order[part::parts]) for part in range(parts)]


@dataclass(frozen=True)
class Packed:
    """g rows of L tokens, each a prompt and several of its responses.

    ``tokens`` and ``positions`` (g, L); ``segment`` (g, L) is 0 in the prompt, 1, 2, ... in the
    responses and -1 in padding. ``ends`` (g,) are the flat positions of the prompts' last tokens,
    which predict the first token of each of a row's responses, ``most`` at most. ``source`` (s,)
    says where each sampled token is predicted, in the order of ``MicroBatch.mask``: in the g L flat
    positions, or behind them in g rows of ``most`` copies of the prompts' last.
    """

    tokens: Tensor
    positions: Tensor
    segment: Tensor
    ends: Tensor
    source: Tensor
    most: int

    def predicting(self, states: Tensor) -> Tensor:
        """The states (s, d), of all (g, L, d), that predict the sampled tokens.

        No state is taken twice but by expanding: gradients that meet by index are added in no
        order in particular, and a resumed run would not be the unbroken one.
        """
        flat = states.flatten(0, 1)
        last = flat.index_select(0, self.ends)[:, None]
        copies = last.expand(-1, self.most, -1).flatten(0, 1)
        return torch.cat([flat, copies]).index_select(0, self.source)

    @property
    def attention(self) -> Tensor:
        """Who sees whom, (g, 1, L, L): earlier tokens of the same response and of the prompt."""
        seen = self.segment[:, None, None, :]
        seeing = self.segment[:, None, :, None]
        length = self.segment.shape[-1]
        earlier = torch.ones(length, length, dtype=torch.bool, device=seen.device).tril()
        return earlier & ((seen == seeing) | (seen == 0))


@dataclass(frozen=True)
class MicroBatch:
    """b rollouts, right-padded to T tokens; the t = T - 1 - first positions that matter.

    ``tokens`` (b, T); logits at positions first .. T-2 predict ``targets`` (b, t), of which
    ``mask`` (b, t) marks the sampled ones; ``engine`` (b, t) are the engine's log-probs, 0 at
    padding. ``rows`` (b,) are the rollouts' places in the batch, empty for a filler. With
    ``packed`` the model runs on that instead of on ``tokens``.
    """

    rows: IntArray
    first: int
    tokens: Tensor
    mask: Tensor
    engine: Tensor
    packed: Packed | None = None

    @property
    def targets(self) -> Tensor:
        """The tokens that the logits at first .. T-2 predict, (b, t)."""
        return self.tokens[:, self.first + 1 :]


def pad(
    prompts: Sequence[TokenRow],
    responses: Sequence[TokenRow],
    log_probs: Sequence[LogProbRow],
    rows: IntArray,
    device: torch.device | str = "cpu",
) -> MicroBatch:
    """Put the rollouts ``rows`` into one right-padded micro-batch.

    With a causal model right padding needs no attention mask: no real token looks at it.
    """
    before = np.array([len(prompts[i]) for i in rows])
    sampled = np.array([len(responses[i]) for i in rows])
    width = int((before + sampled).max())
    first = int(before.min()) - 1
    column = np.arange(width)
    is_prompt = column < before[:, None]
    is_sampled = ~is_prompt & (column < (before + sampled)[:, None])
    tokens = np.zeros((len(rows), width), dtype=np.int64)
    tokens[is_prompt] = _join(prompts, rows, np.int64)
    tokens[is_sampled] = _join(responses, rows, np.int64)
    engine: FloatArray = np.zeros((len(rows), width))
    engine[is_sampled] = _join(log_probs, rows, np.float64)
    mask: BoolArray = is_sampled[:, first + 1 :]
    return MicroBatch(
        rows=rows,
        first=first,
        tokens=torch.from_numpy(tokens).to(device),
        mask=torch.from_numpy(mask).to(device),
        engine=torch.from_numpy(engine[:, first + 1 :]).to(device),
    )


def filler(device: torch.device | str = "cpu") -> MicroBatch:
    """The smallest micro-batch, with no sampled token: it keeps a rank in step and adds nothing."""
    return MicroBatch(
        rows=np.zeros(0, dtype=np.int64),
        first=0,
        tokens=torch.zeros((1, 2), dtype=torch.int64, device=device),
        mask=torch.zeros((1, 1), dtype=torch.bool, device=device),
        engine=torch.zeros((1, 1), dtype=torch.float64, device=device),
    )


def _join(
    lists: Sequence[TokenRow] | Sequence[LogProbRow],
    rows: IntArray,
    dtype: type[np.int64] | type[np.float64],
) -> NDArray[np.int64] | NDArray[np.float64]:
    return np.concatenate([np.asarray(lists[i], dtype=dtype) for i in rows])
