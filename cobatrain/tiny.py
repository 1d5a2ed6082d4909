"""A policy small enough to train on two CPU cores: about 1M parameters, one token a character.

`build_tiny` makes an untrained model of the Qwen3 architecture in the Hugging Face format, which
vLLM loads like any other. `warm_up` teaches it by plain supervision until it solves a chosen share
of its prompts, so that reinforcement learning starts from pass rates that are neither 0 nor 1.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from cobatrain.engines import SamplingConfig, sample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen3ForCausalLM

SPECIALS = ("<pad>", "<bos>", "<eos>")
CHARACTERS = "0123456789+-*="

# Streams of the random generator, see warm_up.
_BATCHES, _PROBES = 0, 1


@dataclass(frozen=True)
class WarmUpRow:
    """One measurement during `warm_up`."""

    step: int
    """Optimiser steps taken."""
    loss: float | None
    """Mean cross-entropy per answer token since the last row, nats; None in the first row."""
    pass_rate: float
    """Share of the sampled probe completions that equal the answer and end with eos."""
    seconds: float
    """Since the start of the warm-up."""


def tiny_tokenizer() -> "PreTrainedTokenizerFast":
    """Return the character tokenizer: ids 0, 1, 2 are pad, bos, eos; a prompt starts with bos.

    There is no unknown token: encoding any other character than 0-9 + - * = raises ValueError.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate((*SPECIALS, *CHARACTERS))}
    inner = Tokenizer(models.WordLevel(vocabulary))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    inner.decoder = decoders.Fuse()
    inner.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", vocabulary["<bos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def build_tiny(
    path: str | Path,
    seed: int,
    hidden: int = 128,
    layers: int = 4,
    heads: int = 4,
    intermediate: int = 512,
    context: int = 128,
    tied: bool = False,
) -> "tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]":
    """Make an untrained tiny model and its tokenizer, save both to `path`, and return them.

    The defaults give 1.05M parameters. Float32. Initialised from `seed` alone; torch's global
    random state is left as it was.

    Raises:
        ValueError: hidden is not a multiple of heads, or its heads are of odd size.
    """
    from transformers import Qwen3Config, Qwen3ForCausalLM

    if hidden % heads or (hidden // heads) % 2:
        raise ValueError(
            f"hidden = {hidden} and heads = {heads}; expected hidden to be an even multiple of "
            f"heads (rotary embeddings pair the entries of a head)"
        )
    tokenizer = tiny_tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=hidden // heads,
        max_position_embeddings=context,
        tie_word_embeddings=tied,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config).float()
    save(path, model, tokenizer)
    return model, tokenizer


def save(path: str | Path, model: "Qwen3ForCausalLM", tokenizer: "PreTrainedTokenizerBase") -> None:
    """Write model and tokenizer to the folder `path` in the Hugging Face format."""
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def encode(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Return bos and one id for each character of `text`.

    Raises:
        ValueError: a character outside the tokenizer's alphabet.
    """
    unknown = sorted(set(text) - set(CHARACTERS))
    if unknown:
        raise ValueError(
            f"{text[:40]!r} contains {unknown}, which the tiny tokenizer does not know; "
            f"expected only {CHARACTERS!r}"
        )
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids


def warm_up(
    model: "Qwen3ForCausalLM",
    tokenizer: "PreTrainedTokenizerBase",
    examples: Sequence[tuple[str, str]],
    target_pass_rate: float,
    probe: Sequence[tuple[str, str]],
    seed: int,
    *,
    max_steps: int = 4000,
    batch_size: int = 256,
    lr: float = 2e-3,
    check_every: int = 25,
    samples: int = 4,
) -> tuple[WarmUpRow, ...]:
    """Train on (prompt, answer) pairs until the sampled pass rate reaches the target.

    Supervised cross-entropy on the answer's characters and eos, prompt excluded; AdamW, 50 steps of
    linear warm-up, then constant; gradient norm clipped to 1. Every `check_every` steps each probe
    prompt is sampled `samples` times at temperature 1. Batches and samples come from
    np.random.default_rng([seed, stream]), so a run on the same machine repeats.

    Args:
        model: changed in place.
        tokenizer: from `tiny_tokenizer`.
        examples: training pairs, such as ("12+7=", "19").
        target_pass_rate: in (0, 1); where to stop.
        probe: pairs to measure the pass rate on; best drawn like `examples`, but others.
        seed: of batches and samples.
        max_steps: give up after so many.
        batch_size: pairs per step.
        lr: peak learning rate.
        check_every: steps between measurements.
        samples: completions per probe prompt.

    Returns:
        One row per measurement; the first is before training. If the last row's pass rate is
        below the target, max_steps ran out.

    Raises:
        ValueError: no examples, no probe, an empty answer, a target outside (0, 1), a character
            the tokenizer does not know.
        FloatingPointError: the loss is not finite.
    """
    if not 0.0 < target_pass_rate < 1.0:
        raise ValueError(f"target_pass_rate is {target_pass_rate}; expected a value in (0, 1)")
    if not examples or not probe:
        raise ValueError(
            f"{len(examples)} examples and {len(probe)} probe pairs given; expected some of both"
        )
    inputs, labels = _training_arrays(tokenizer, examples)
    probe_prompts = [encode(tokenizer, prompt) for prompt, _ in probe]
    answers = [_answer_ids(tokenizer, answer) for _, answer in probe]
    sampling = SamplingConfig(max_tokens=max(map(len, answers)) + 1)
    batch_rng = np.random.default_rng([seed, _BATCHES])
    probe_rng = np.random.default_rng([seed, _PROBES])

    def measure() -> float:
        rollouts = sample(
            model,
            probe_prompts,
            budgets=np.full(len(probe), samples, dtype=np.int64),
            seeds=probe_rng.integers(2**62, size=len(probe)),
            sampling=sampling,
            end_ids=(tokenizer.eos_token_id,),
            max_num_seqs=1024,
        )
        passes = [
            tokens == answers[p] for p, tokens in zip(rollouts.prompt, rollouts.tokens, strict=True)
        ]
        return float(np.mean(passes))

    start = time.perf_counter()
    rows = [WarmUpRow(0, None, measure(), time.perf_counter() - start)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, (s + 1) / 50))
    losses: list[float] = []
    model.train()
    for step, batch in enumerate(_batches(len(inputs), batch_size, batch_rng), start=1):
        if rows[-1].pass_rate >= target_pass_rate or step > max_steps:
            break
        loss = _supervised_loss(model, inputs[batch], labels[batch])
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the warm-up's loss is {float(loss)} at step {step}; lower lr (now {lr})"
            )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % check_every == 0 or step == max_steps:
            seconds = time.perf_counter() - start
            rows.append(WarmUpRow(step, float(np.mean(losses)), measure(), seconds))
            losses.clear()
    model.eval()
    return tuple(rows)


def _answer_ids(tokenizer: "PreTrainedTokenizerBase", answer: str) -> list[int]:
    """Ids of an answer's characters and eos."""
    if not answer:
        raise ValueError("an answer is empty; expected at least one character")
    return [*encode(tokenizer, answer)[1:], tokenizer.eos_token_id]


def _training_arrays(
    tokenizer: "PreTrainedTokenizerBase", examples: Sequence[tuple[str, str]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and labels, both (examples, longest); right-padded, labels -100 off the answers."""
    pairs = [(encode(tokenizer, p), _answer_ids(tokenizer, a)) for p, a in examples]
    width = max(len(p) + len(a) for p, a in pairs)
    ids = np.full((len(pairs), width), tokenizer.pad_token_id, dtype=np.int64)
    labels = np.full((len(pairs), width), -100, dtype=np.int64)
    for row, (prompt, answer) in enumerate(pairs):
        end = len(prompt) + len(answer)
        ids[row, :end] = [*prompt, *answer]
        labels[row, len(prompt) : end] = answer
    return torch.from_numpy(ids), torch.from_numpy(labels)


def _supervised_loss(
    model: "Qwen3ForCausalLM", ids: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy over the labelled tokens. Right padding needs no mask: it is causal."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
    )


def _batches(count: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Endless shuffled batches of indices, epoch after epoch."""
    while True:
        order = rng.permutation(count)
        for start in range(0, count, batch_size):
            yield order[start : start + batch_size]
