"""Models with LoRA adapters for tests."""

from __future__ import annotations

import torch

from cobatrain.lora import LoraConfig, add_adapters

LORA = LoraConfig(rank=3, alpha=5.0)


def adapted(model, config: LoraConfig = LORA, *, seed: int = 0, learned: float = 0.0):
    """The model with adapters, in place; B is drawn with the deviation ``learned``."""
    add_adapters(model, config, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * learned)
    return model
