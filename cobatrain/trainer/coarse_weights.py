"""Weights whose type is too coarse for the steps that are to change them."""

from __future__ import annotations

from collections.abc import Callable

from cobatrain.config import TrainConfig

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
