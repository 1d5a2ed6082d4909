"""Small models, configs and what torch really keeps, for tests of plans."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch

from cobatrain.config import TrainConfig, load_config
from cobatrain.update import LOGIT_CHUNK, MicroBatch, token_log_probs

MODES = {"float32": ("float32", False), "bfloat16": ("bfloat16", False), "mixed": ("float32", True)}
"""Type of the weights, and whether autocast is on."""


def small_model(kind: str, mode: str, *, tied: bool = False, **sizes: int) -> torch.nn.Module:
    """An untrained model of transformers' architecture ``kind``, in a mode's type of weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    values = {
        "vocab_size": 64, "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
    } | sizes  # fmt: skip
    config = AutoConfig.for_model(kind, tie_word_embeddings=tied, **values)
    model: torch.nn.Module = AutoModelForCausalLM.from_config(config)
    return model.to(getattr(torch, MODES[mode][0]))


def planned_config(mode: str = "float32", *settings: str) -> TrainConfig:
    """The tiny config in a mode."""
    dtype, bf16 = MODES[mode]
    return load_config(
        "tiny", [f"model.dtype={dtype}", f"update.bf16={str(bf16).lower()}", *settings]
    )


def hidden_states(model, mode: str, tokens: torch.Tensor) -> torch.Tensor:
    """What the head of a model would read, (b, t, h)."""
    with autocast(mode):
        return model.model(input_ids=tokens, use_cache=False).last_hidden_state


def autocast(mode: str):
    return torch.autocast("cpu", dtype=torch.bfloat16) if MODES[mode][1] else nullcontext()


def kept_for_backward(model, mode: str, tokens: int) -> int:
    """Bytes of the tensors that autograd keeps of a forward pass without the head."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own:
            kept.setdefault(place, tensor)  # held, so that no other takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        hidden_states(model, mode, torch.zeros((1, tokens), dtype=torch.long))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def tracked_peak(
    model, mode: str, rows: int, tokens: int, *, checkpointing: bool, chunk: int = LOGIT_CHUNK
) -> int:
    """Bytes of all tensors at the peak of a second update, followed allocation by allocation."""
    from torch.distributed._tools.mem_tracker import MemTracker

    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=True)
    if checkpointing:
        model.train()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    micro = MicroBatch(
        rows=np.arange(rows),
        first=0,
        tokens=torch.zeros((rows, tokens), dtype=torch.long),
        mask=torch.ones((rows, tokens - 1), dtype=torch.bool),
        engine=torch.zeros((rows, tokens - 1), dtype=torch.float64),
    )

    def backward() -> None:
        log_probs, _ = token_log_probs(model, micro, 1.0, MODES[mode][1], chunk)
        log_probs.sum().backward()

    backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    tracker = MemTracker()
    tracker.track_external(model, optimiser)
    with tracker:
        backward()  # the second micro-batch finds the gradients of the first
        tracker.reset_mod_stats()
        backward()
        optimiser.step()
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    return int(peak["Total"])
