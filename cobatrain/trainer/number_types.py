"""Number types that are too coarse for a run's steps, or slow on this processor."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cobatrain.config import TrainConfig
from cobatrain.parallel import usable_device

TYPICAL_WEIGHT = 0.02  # the usual deviation of a language model's weights at their start
HALF_STEP = 2.0**-9  # of bfloat16, relative: smaller changes of a weight are rounded away


def warn_of_coarse_weights(config: TrainConfig, say: Callable[[str], None]) -> None:
    """Say so if most of Adam's steps would be rounded away.

    Adam changes a weight by about the learning rate. In bfloat16, which has 8 significant bits, a
    change below 2^-9 of the weight leaves it as it was.
    """
    rate = config.update.learning_rate
    if config.model.lora is not None:
        return  # adapters are float32
    if config.model.dtype == "bfloat16" and rate < HALF_STEP * TYPICAL_WEIGHT:
        say(
            f"warning: weights are trained in bfloat16 (model.dtype), where a step of the learning "
            f"rate, {rate:g}, is rounded away unless the weight is below {rate / HALF_STEP:.1g}: "
            "most are not. Set model.dtype to float32 and update.bf16 to true: as fast, with all "
            "steps"
        )


def warn_of_slow_bfloat16(config: TrainConfig, say: Callable[[str], None]) -> None:
    """Say so if bfloat16 is to be used on a processor that has to imitate it.

    A processor without AVX-512 has no kernels for it in torch: an update of SmolLM2-135M took seven
    times as long as in float32.
    """
    if usable_device(config.model.device) != "cpu" or has_fast_bfloat16():
        return
    used = {
        "model.dtype=float32": config.model.dtype == "bfloat16",
        "update.bf16=false": config.update.bf16,
        "engine.dtype=float32": config.engine.dtype == "bfloat16",
    }
    if any(used.values()):
        instead = ", ".join(setting for setting, slow in used.items() if slow)
        say(
            "warning: this processor is slow at bfloat16, which can take several times as long as "
            f"float32; for float32 set {instead}"
        )


def has_fast_bfloat16() -> bool:
    """Whether torch multiplies matrices of bfloat16 on this processor by kernels made for it."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
