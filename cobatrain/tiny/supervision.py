"""Supervised warm-up of the tiny model.

It stops at a chosen pass rate, so that reinforcement learning starts from prompts that are
sometimes solved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cobasim.arrays import IntArray
from cobatrain.engines import SamplingConfig, sample
from cobatrain.tiny.model import encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Qwen3ForCausalLM

Example = tuple[str, str]
"""A prompt and its answer, such as ("12+7=", "19")."""
BATCHES, PROBES = 0, 1  # streams of the random generator
RAMP = 50  # steps of linear warm-up of the learning rate


@dataclass(frozen=True)
class WarmUp:
    """Settings of ``warm_up``. Raises ValueError for a target outside (0, 1)."""

    target_pass_rate: float
    """In (0, 1): where to stop."""
    seed: int
    """Of batches and samples."""
    max_steps: int = 4000
    """Give up after this many optimiser steps."""
    batch_size: int = 256
    """Examples per step."""
    lr: float = 2e-3
    """Peak learning rate."""
    check_every: int = 25
    """Steps between measurements of the pass rate."""
    samples: int = 4
    """Completions per probe prompt."""

    def __post_init__(self) -> None:
        if not 0.0 < self.target_pass_rate < 1.0:
            raise ValueError(
                f"target_pass_rate is {self.target_pass_rate}; expected a value in (0, 1)"
            )


@dataclass(frozen=True)
class WarmUpRow:
    """One measurement during ``warm_up``."""

    step: int
    """Optimiser steps taken."""
    loss: float | None
    """Mean cross-entropy per answer token since the last row, nats; None in the first row."""
    pass_rate: float
    """Share of the sampled probe completions that equal the answer and end with eos."""
    seconds: float
    """Since the start of the warm-up."""


def warm_up(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    probe: Sequence[Example],
    settings: WarmUp,
) -> tuple[WarmUpRow, ...]:
    """Train on (prompt, answer) pairs until the sampled pass rate reaches the target.

    Supervised cross-entropy on the answer's characters and eos, prompt excluded; AdamW, 50 steps of
    linear warm-up, then constant; gradient norm clipped to 1. Every ``check_every`` steps each
    probe prompt is sampled at temperature 1. Batches and samples come from
    np.random.default_rng([seed, stream]), so a run on the same machine repeats.

    Args:
        model: changed in place.
        tokenizer: from ``tiny_tokenizer``.
        examples: what to train on.
        probe: what to measure the pass rate on; best drawn like ``examples``, but others.
        settings: when to stop, and how to train.

    Returns:
        One row per measurement; the first is before training. If the last row's pass rate is
        below the target, max_steps ran out.

    Raises:
        ValueError: no examples, no probe, an empty answer, a character the tokenizer does not know.
        FloatingPointError: the loss is not finite.
    """
    if not examples or not probe:
        raise ValueError(
            f"{len(examples)} examples and {len(probe)} probe pairs given; expected some of both"
        )
    inputs, labels = _training_arrays(tokenizer, examples)
    measure = _probe(model, tokenizer, probe, settings)
    rng = np.random.default_rng([settings.seed, BATCHES])
    start = time.perf_counter()
    rows = [WarmUpRow(0, None, measure(), time.perf_counter() - start)]
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings.lr, betas=(0.9, 0.99), weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: min(1.0, (s + 1) / RAMP))
    losses: list[float] = []
    model.train()
    for step, batch in enumerate(_batches(len(inputs), settings.batch_size, rng), start=1):
        if rows[-1].pass_rate >= settings.target_pass_rate or step > settings.max_steps:
            break
        loss = _supervised_loss(model, inputs[batch], labels[batch])
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the warm-up's loss is {loss.item()} at step {step}; lower lr (now {settings.lr})"
            )
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % settings.check_every == 0 or step == settings.max_steps:
            seconds = time.perf_counter() - start
            rows.append(WarmUpRow(step, float(np.mean(losses)), measure(), seconds))
            losses.clear()
    model.eval()
    return tuple(rows)


def _probe(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    probe: Sequence[Example],
    settings: WarmUp,
) -> Callable[[], float]:
    """A function that samples the probe afresh and returns its pass rate."""
    prompts = [encode(tokenizer, prompt) for prompt, _ in probe]
    answers = [_answer_ids(tokenizer, answer) for _, answer in probe]
    sampling = SamplingConfig(max_tokens=max(map(len, answers)) + 1)
    rng = np.random.default_rng([settings.seed, PROBES])

    def measure() -> float:
        rollouts = sample(
            model,
            prompts,
            budgets=np.full(len(probe), settings.samples, dtype=np.int64),
            seeds=rng.integers(2**62, size=len(probe)),
            sampling=sampling,
            end_ids=(tokenizer.eos_token_id,),
            max_num_seqs=1024,
        )
        passes = [
            tokens == answers[p] for p, tokens in zip(rollouts.prompt, rollouts.tokens, strict=True)
        ]
        return float(np.mean(passes))

    return measure


def _answer_ids(tokenizer: PreTrainedTokenizerBase, answer: str) -> list[int]:
    """Ids of an answer's characters and eos."""
    if not answer:
        raise ValueError("an answer is empty; expected at least one character")
    return [*encode(tokenizer, answer)[1:], tokenizer.eos_token_id]


def _training_arrays(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]
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
    model: Qwen3ForCausalLM, ids: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy over the labelled tokens. Right padding needs no mask: it is causal."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
    )


def _batches(count: int, batch_size: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Endless shuffled batches of indices, epoch after epoch."""
    while True:
        order = rng.permutation(count)
        for start in range(0, count, batch_size):
            yield order[start : start + batch_size]
