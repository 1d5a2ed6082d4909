"""A language model of random weights that is large enough for a GPU, and rollouts for it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import transformers

from cobatrain.update import Batch, UpdateConfig, update

VOCABULARY = 49_152


def llama(layers: int = 4, hidden: int = 512, vocabulary: int = VOCABULARY) -> torch.nn.Module:
    """Llama with random weights, float32, on the CPU."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )
    return transformers.LlamaForCausalLM(config).eval()


def rollouts(groups: int, each: int, prompt: int, response: int, vocabulary: int = VOCABULARY):
    """A batch of random tokens, lengths up to those given, half of the rollouts passing."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(groups), each)
    prompts = [rng.integers(0, vocabulary, prompt).tolist() for _ in range(groups)]
    lengths = rng.integers(max(1, response // 2), response + 1, len(group))
    return Batch(
        prompts=[prompts[i] for i in group],
        responses=[rng.integers(0, vocabulary, n).tolist() for n in lengths],
        log_probs=[np.full(n, -np.log(vocabulary)).tolist() for n in lengths],
        rewards=(np.arange(len(group)) % 2).astype(float),
        group=group,
    )


@dataclass(frozen=True)
class Taken:
    """What an update of one step of plain gradient descent did."""

    gradient: torch.Tensor
    metrics: dict
    peak: int
    """Bytes at most, above what was there before."""


def taken(model: torch.nn.Module, batch: Batch, device: str, **settings) -> Taken:
    """The gradient of an update of a copy of the model on a device, flat and on the CPU."""
    model = copy.deepcopy(model).to(device)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    config = UpdateConfig(max_grad_norm=None, **settings)
    start = held(device)
    metrics = update(model, optimiser, batch, config)
    peak = torch.cuda.max_memory_allocated() - start if device == "cuda" else 0
    moved = [(before[name] - p.detach()).flatten() for name, p in model.named_parameters()]
    return Taken(torch.cat(moved).cpu(), metrics, peak)


def peak_of_updates(model: torch.nn.Module, batch: Batch, settings: dict) -> int:
    """Bytes at most during the second of two steps of AdamW on the card, the model included."""
    model = model.cuda()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=True)
    config = UpdateConfig(**settings)
    update(model, optimiser, batch, config)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    update(model, optimiser, batch, config)
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


def held(device: str) -> int:
    """Bytes that are allocated now; the peak is counted from here."""
    if device != "cuda":
        return 0
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The length of the difference over that of ``other``."""
    return float((one - other).norm() / other.norm())


@contextmanager
def one_rank() -> Iterator[None]:
    """A process group of this process alone, over NCCL."""
    import torch.distributed as dist

    store = dist.HashStore()
    dist.init_process_group("nccl", store=store, rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()
