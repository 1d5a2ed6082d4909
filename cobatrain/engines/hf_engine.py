"""The fallback engine: a transformers model and a plain sampling loop over its key-value cache.

Not `generate()`: it draws the whole batch from torch's one global generator, so a rollout would
depend on its neighbours in the batch and could not be repeated alone, and it takes one
num_return_sequences for all prompts. Here every rollout owns a stream of uniforms,
np.random.default_rng([seed of its prompt, rollout index]), turned into tokens by the inverse
cumulative distribution.

At about 1M parameters on a CPU this is as fast as vLLM; with large models on a GPU it is not.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cobatrain.engines.base import (
    ClosingEngine,
    EngineConfig,
    EngineError,
    IntArray,
    Rollouts,
    SamplingConfig,
    check_requests,
    end_token_ids,
)
from cobatrain.engines.weights import check_names, named_weights, read_weights, stored_names

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class HfEngine(ClosingEngine):
    """`Engine` on transformers; see the module."""

    def __init__(self, config: EngineConfig, model_path: str | Path) -> None:
        from transformers import AutoModelForCausalLM

        self._config = config
        self._path = Path(model_path)
        self._end_ids = end_token_ids(model_path)
        self._stored = stored_names(model_path)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        auto: Any = AutoModelForCausalLM
        self._model = auto.from_pretrained(model_path, dtype=config.dtype, local_files_only=True)
        self._model.to(device)
        self._model.eval().requires_grad_(False)
        self._tokenizer: PreTrainedTokenizerBase | None = None

    def generate(
        self,
        prompt_tokens: Sequence[Sequence[int]],
        budgets: IntArray,
        seeds: IntArray,
        sampling: SamplingConfig,
        first: IntArray | None = None,
    ) -> Rollouts:
        """See `Engine.generate`. With `seeded: false` the seeds are drawn from the system."""
        model = self._open_model()
        budgets, seeds, first = check_requests(
            prompt_tokens, budgets, seeds, sampling, self._config.max_model_len, first
        )
        if not self._config.seeded:
            seeds = np.random.default_rng().integers(2**62, size=len(budgets))
        if sampling.stop and self._tokenizer is None:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(self._path, local_files_only=True)
        return sample(
            model,
            prompt_tokens,
            budgets,
            seeds,
            sampling,
            first,
            end_ids=self._end_ids,
            max_num_seqs=self._config.max_num_seqs,
            tokenizer=self._tokenizer,
        )

    def sync(self, model: torch.nn.Module | Mapping[str, torch.Tensor]) -> float:
        """See `Engine.sync`; tied embeddings are one tensor here and need no care."""
        own: torch.nn.Module = self._open_model()
        start = time.perf_counter()
        parameters = dict(own.named_parameters())
        given: set[str] = set()
        with torch.no_grad():
            for name, tensor in named_weights(model):
                given.add(name)
                if name in parameters:
                    parameters[name].copy_(tensor)
        check_names(given, self._stored)
        return time.perf_counter() - start

    def sync_from(self, path: str | Path) -> float:
        """As `sync`, with the weights of a safetensors file."""
        return self.sync(dict(read_weights(path)))

    def sleep(self) -> None:
        """Do nothing: between calls this engine holds no memory but its weights."""

    def close(self) -> None:
        """Drop the model."""
        self._model = None

    def _open_model(self) -> Any:
        if self._model is None:
            raise EngineError("the engine is closed; make a new one with make_engine")
        return self._model


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
    within = np.arange(len(owner)) - np.repeat(starts, budgets)  # (n,) index in its group
    if first is not None:
        within += np.repeat(first, budgets)
    lengths = np.array([len(t) for t in prompt_tokens], dtype=np.int64)
    by_length = np.argsort(lengths[owner], kind="stable")
    tokens: list[list[int]] = [[] for _ in owner]
    log_probs: list[list[float]] = [[] for _ in owner]
    finished = np.zeros(len(owner), dtype=np.bool_)
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
            done = np.zeros(len(rows), dtype=np.bool_)
            with torch.no_grad():
                _sample_batch(
                    model,
                    [prompt_tokens[p] for p in owner[rows]],
                    owner[rows],
                    uniforms,
                    sampling,
                    frozenset(end_ids) | frozenset(sampling.stop_token_ids),
                    tokenizer,
                    [tokens[r] for r in rows],
                    [log_probs[r] for r in rows],
                    done,
                )
            finished[rows] = done
    finally:
        model.train(was_training)
    return Rollouts(
        prompt=owner.astype(np.int64),
        tokens=tokens,
        log_probs=log_probs,
        finished=finished,
        prompt_tokens=[list(t) for t in prompt_tokens],
    )


def _sample_batch(
    model: Any,
    prompts: Sequence[Sequence[int]],
    owner: IntArray,
    uniforms: np.ndarray,
    sampling: SamplingConfig,
    stop_ids: frozenset[int],
    tokenizer: "PreTrainedTokenizerBase | None",
    tokens: list[list[int]],
    log_probs: list[list[float]],
    finished: np.ndarray,
) -> None:
    """Fill tokens, log_probs and finished of one batch of rollouts, (batch,) each, in place."""
    device = next(model.parameters()).device
    unique, first, row_of = np.unique(owner, return_index=True, return_inverse=True)
    width = max(len(prompts[i]) for i in first)
    ids = torch.zeros((len(unique), width), dtype=torch.long)
    mask = torch.zeros((len(unique), width), dtype=torch.long)
    for row, i in enumerate(first):  # left padding: all prompts end in the last column
        ids[row, width - len(prompts[i]) :] = torch.tensor(prompts[i])
        mask[row, width - len(prompts[i]) :] = 1
    mask = mask.to(device)
    output = model(
        input_ids=ids.to(device),
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        use_cache=True,
        logits_to_keep=1,
    )
    cache = output.past_key_values
    expand = torch.from_numpy(row_of).to(device)
    cache.batch_select_indices(expand)
    logits, mask = output.logits[expand, -1], mask[expand]
    position = mask.sum(-1, keepdim=True)
    alive = np.arange(len(tokens))  # batch row -> rollout
    uniform_matrix = torch.from_numpy(uniforms).to(device)

    for step in range(sampling.max_tokens):
        chosen, chosen_log_probs = choose(logits, uniform_matrix[alive, step], sampling)
        going = np.zeros(len(alive), dtype=np.bool_)
        for row, (token, value) in enumerate(
            zip(chosen.tolist(), chosen_log_probs.tolist(), strict=True)
        ):
            rollout = alive[row]
            if finished[rollout]:
                continue
            tokens[rollout].append(token)
            log_probs[rollout].append(value)
            finished[rollout] = token in stop_ids or _ends_with_stop(
                tokens[rollout], sampling.stop, tokenizer
            )
            going[row] = not finished[rollout]
        if not going.any() or step + 1 == sampling.max_tokens:
            return
        if going.mean() <= 0.5:  # drop the finished rows
            keep = torch.from_numpy(np.flatnonzero(going)).to(device)
            cache.batch_select_indices(keep)
            chosen, mask, position = chosen[keep], mask[keep], position[keep]
            alive = alive[going]
        mask = torch.cat([mask, mask.new_ones((len(alive), 1))], dim=-1)
        output = model(
            input_ids=chosen.unsqueeze(-1),
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
        )
        logits, position = output.logits[:, -1], position + 1


def choose(
    logits: torch.Tensor, uniforms: torch.Tensor, sampling: SamplingConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn (batch, vocabulary) logits and (batch,) uniforms in [0, 1) into tokens.

    Inverse transform sampling in double precision: the token is the first whose cumulative
    probability exceeds the uniform. Greedy at temperature 0.

    Returns:
        (batch,) token ids and (batch,) their log-probabilities, see `Rollouts.log_probs`.
    """
    scaled = logits.float() / (sampling.temperature or 1.0)
    if sampling.top_p < 1.0:
        scaled = _cut_to_nucleus(scaled, sampling.top_p)
    log_probs = scaled.log_softmax(-1)
    if sampling.temperature == 0.0:
        tokens = logits.argmax(-1)
    else:
        cumulative = log_probs.double().exp().cumsum(-1)
        threshold = uniforms.unsqueeze(-1) * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, threshold, right=True).squeeze(-1)
        tokens = tokens.clamp(max=logits.shape[-1] - 1)
    return tokens, log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def _cut_to_nucleus(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """Set to -inf all but the fewest most likely tokens whose mass reaches top_p."""
    ordered, order = logits.sort(-1, descending=True)
    probabilities = ordered.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities  # mass of the more likely tokens
    cut = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before >= top_p)
    return logits.masked_fill(cut, -torch.inf)


def _ends_with_stop(
    tokens: list[int], stop: tuple[str, ...], tokenizer: "PreTrainedTokenizerBase | None"
) -> bool:
    if not stop:
        return False
    if tokenizer is None:
        raise EngineError("stop strings need the model's tokenizer, but none was loaded")
    text = tokenizer.decode(tokens)
    return any(s in text for s in stop)
