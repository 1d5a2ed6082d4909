"""A plain sampling loop over the key-value cache of a transformers model.

Not `generate()`: it draws the whole batch from torch's one global generator, so a rollout would
depend on its neighbours in the batch and could not be repeated alone, and it takes one
num_return_sequences for all prompts. Here every rollout has its own stream of uniforms,
np.random.default_rng([seed of its prompt, rollout index]), turned into tokens by the inverse
cumulative distribution.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cobasim.arrays import IntArray
from cobatrain.engines.base import EngineError
from cobatrain.engines.config import SamplingConfig
from cobatrain.engines.rollouts import Rollouts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


BLOCK = 256
"""Entries of the vocabulary that are summed at once."""


@dataclass
class _Completion:
    """One rollout, as sampled so far."""

    tokens: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    finished: bool = False


@dataclass(frozen=True)
class _Stops:
    """What ends a completion before max_tokens does."""

    ids: frozenset[int]
    strings: tuple[str, ...]
    tokenizer: "PreTrainedTokenizerBase | None"

    def end(self, tokens: list[int]) -> bool:
        """Whether the completion ends with its last token."""
        if tokens[-1] in self.ids:
            return True
        if not self.strings:
            return False
        if self.tokenizer is None:
            raise EngineError("stop strings need the model's tokenizer, but none was loaded")
        text = self.tokenizer.decode(tokens)
        return any(string in text for string in self.strings)


def sample(
    model: Any,
    prompt_tokens: Sequence[Sequence[int]],
    budgets: IntArray,
    seeds: IntArray,
    sampling: SamplingConfig,
    first: IntArray | None = None,
    *,
    end_ids: Sequence[int],
    max_num_seqs: int,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
) -> Rollouts:
    """Sample budgets[i] completions of prompt i from a causal model of transformers.

    Rollouts are generated in batches of at most max_num_seqs, prompts of similar length together.
    A prompt is run once for all its rollouts in a batch. Finished rollouts leave the batch when
    they are half of it. Arguments as in `Engine.generate`; end_ids are added to the stop tokens,
    and the tokenizer is needed for stop strings only.
    """
    owner = np.repeat(np.arange(len(budgets)), budgets)  # (n,) prompt of each rollout
    starts = np.cumsum(budgets) - budgets
    within = np.arange(len(owner)) - np.repeat(starts, budgets)  # (n,) number in its group
    if first is not None:
        within += np.repeat(first, budgets)
    lengths = np.array([len(t) for t in prompt_tokens], dtype=np.int64)
    by_length = np.argsort(lengths[owner], kind="stable")
    stops = _Stops(
        frozenset(end_ids) | frozenset(sampling.stop_token_ids), sampling.stop, tokenizer
    )
    completions = [_Completion() for _ in owner]
    was_training = model.training
    model.eval()
    try:
        for begin in range(0, len(owner), max_num_seqs):
            rows = by_length[begin : begin + max_num_seqs]
            uniforms = np.stack(
                [
                    np.random.default_rng([seeds[owner[r]], within[r]]).random(sampling.max_tokens)
                    for r in rows
                ]
            )
            with torch.no_grad(), _contiguous(model.get_output_embeddings()):
                start = _prefill(model, prompt_tokens, owner[rows])
                _complete(model, start, uniforms, sampling, stops, [completions[r] for r in rows])
    finally:
        model.train(was_training)
    return Rollouts(
        prompt=owner.astype(np.int64),
        tokens=[c.tokens for c in completions],
        log_probs=[c.log_probs for c in completions],
        finished=np.array([c.finished for c in completions], dtype=np.bool_),
        prompt_tokens=[list(t) for t in prompt_tokens],
    )


@contextmanager
def _contiguous(layer: torch.nn.Module | None) -> Iterator[None]:
    """The layer is given contiguous states.

    Transformers gives its output layer the last position of padded prompts as a view. On a CPU,
    torch then copies the layer's weight once for each prompt, which took longer than the model.
    """
    if layer is None:
        yield
        return
    hook = layer.register_forward_pre_hook(lambda _, given: (given[0].contiguous(), *given[1:]))
    try:
        yield
    finally:
        hook.remove()


@dataclass
class _State:
    """A batch between two tokens; one row for each unfinished rollout."""

    cache: Any
    mask: torch.Tensor
    """(rows, tokens so far) 0 where a prompt is padded."""
    logits: torch.Tensor
    """(rows, vocabulary) of the next token."""
    position: torch.Tensor
    """(rows, 1) of the next token."""


def _prefill(model: Any, prompt_tokens: Sequence[Sequence[int]], owner: IntArray) -> _State:
    """Run the prompts of a batch's rollouts, each prompt once."""
    device = next(model.parameters()).device
    unique, row_of = np.unique(owner, return_inverse=True)
    width = max(len(prompt_tokens[i]) for i in unique)
    ids = torch.zeros((len(unique), width), dtype=torch.long)
    mask = torch.zeros((len(unique), width), dtype=torch.long)
    for row, i in enumerate(unique):  # left padding: all prompts end in the last column
        ids[row, width - len(prompt_tokens[i]) :] = torch.tensor(prompt_tokens[i])
        mask[row, width - len(prompt_tokens[i]) :] = 1
    mask = mask.to(device)
    output = model(
        input_ids=ids.to(device),
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        use_cache=True,
        logits_to_keep=1,
    )
    expand = torch.from_numpy(row_of).to(device)
    output.past_key_values.batch_select_indices(expand)
    mask = mask[expand]
    return _State(
        cache=output.past_key_values,
        mask=mask,
        logits=output.logits[expand, -1],
        position=mask.sum(-1, keepdim=True),
    )


def _complete(
    model: Any,
    state: _State,
    uniforms: np.ndarray,
    sampling: SamplingConfig,
    stops: _Stops,
    completions: Sequence[_Completion],
) -> None:
    """Sample a batch's completions, one for each row of `uniforms` (rollouts, max_tokens)."""
    alive = np.arange(len(completions))  # row -> rollout
    uniform_matrix = torch.from_numpy(uniforms).to(state.logits.device)
    for step in range(sampling.max_tokens):
        chosen, log_probs = choose(state.logits, uniform_matrix[alive, step], sampling)
        going = np.zeros(len(alive), dtype=np.bool_)
        drawn = zip(chosen.tolist(), log_probs.tolist(), strict=True)
        for row, (token, log_prob) in enumerate(drawn):
            completion = completions[alive[row]]
            if completion.finished:
                continue
            completion.tokens.append(token)
            completion.log_probs.append(log_prob)
            completion.finished = stops.end(completion.tokens)
            going[row] = not completion.finished
        if not going.any() or step + 1 == sampling.max_tokens:
            return
        if going.mean() <= 0.5:  # drop the finished rows
            keep = torch.from_numpy(np.flatnonzero(going)).to(chosen.device)
            state.cache.batch_select_indices(keep)
            chosen, alive = chosen[keep], alive[going]
            state.mask, state.position = state.mask[keep], state.position[keep]
        _advance(model, state, chosen)


def _advance(model: Any, state: _State, chosen: torch.Tensor) -> None:
    """Run the model on one more token of each row."""
    state.mask = torch.cat([state.mask, state.mask.new_ones((len(chosen), 1))], dim=-1)
    output = model(
        input_ids=chosen.unsqueeze(-1),
        attention_mask=state.mask,
        position_ids=state.position,
        past_key_values=state.cache,
        use_cache=True,
    )
    state.logits, state.position = output.logits[:, -1], state.position + 1


def choose(
    logits: torch.Tensor, uniforms: torch.Tensor, sampling: SamplingConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn (batch, vocabulary) logits and (batch,) uniforms in [0, 1) into tokens.

    Inverse transform sampling: the token is the first whose cumulative probability exceeds the
    uniform. Probabilities are float32, their sums double. Greedy at temperature 0.

    Returns:
        (batch,) token ids and (batch,) their log-probabilities, see `Rollouts.log_probs`.
    """
    temperature = sampling.temperature or 1.0
    entries = logits.shape[-1]
    blocks = -(-entries // BLOCK)
    mass = torch.zeros((len(logits), blocks * BLOCK), dtype=torch.float32, device=logits.device)
    scaled = mass[:, :entries]  # filled in place: whole vocabularies are what takes time here
    scaled.copy_(logits)
    if temperature != 1.0:
        scaled.div_(temperature)
    if sampling.top_p < 1.0:
        scaled.copy_(_cut_to_nucleus(scaled, sampling.top_p))
    top = scaled.amax(-1, keepdim=True)
    scaled.sub_(top).exp_()
    table = mass.view(len(logits), blocks, BLOCK)
    by_block = table.sum(-1).double().cumsum(-1)  # (batch, blocks)
    total = by_block[:, -1:]
    if sampling.temperature == 0.0:
        tokens = logits.argmax(-1, keepdim=True)
    else:
        tokens = _by_inverse(table, by_block, uniforms.double().unsqueeze(-1) * total)
    own = logits.gather(-1, tokens).float() / temperature  # not log(mass), which may underflow
    return tokens.squeeze(-1), (own - top - total.log()).float().squeeze(-1)


def _by_inverse(
    table: torch.Tensor, by_block: torch.Tensor, threshold: torch.Tensor
) -> torch.Tensor:
    """The first entry of each row whose cumulative mass exceeds its threshold, (batch, 1).

    Args:
        table: (batch, blocks, BLOCK) mass of each entry.
        by_block: (batch, blocks) cumulative mass of the blocks.
        threshold: (batch, 1) in [0, total mass).

    Only the block that holds the threshold is summed entry by entry; what the threshold has left
    there is scaled to that sum, since the blocks were rounded to float32.
    """
    blocks = by_block.shape[-1]
    block = torch.searchsorted(by_block, threshold, right=True).clamp_(max=blocks - 1)
    before = by_block.gather(-1, (block - 1).clamp_(min=0)) * (block > 0)
    share = (threshold - before) / (by_block.gather(-1, block) - before)
    entries = table[torch.arange(len(table), device=table.device), block.squeeze(-1)].double()
    cumulative = entries.cumsum(-1)
    within = torch.searchsorted(cumulative, share * cumulative[:, -1:], right=True)
    numbers = torch.arange(BLOCK, device=table.device)
    last = torch.where(entries > 0, numbers, 0).amax(-1, keepdim=True)  # rounding goes no further
    return block * BLOCK + torch.minimum(within, last)


def _cut_to_nucleus(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """Set to -inf all but the fewest most likely tokens whose mass reaches top_p."""
    ordered, order = logits.sort(-1, descending=True)
    probabilities = ordered.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities  # mass of the more likely tokens
    cut = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return logits.masked_fill(cut, -torch.inf)
