"""A policy small enough to train on two CPU cores: about 1M parameters, one token a character.

In: sizes and a seed; supervised examples. Out: a model folder in the Hugging Face format, which
vLLM loads like any other, with pass rates that are neither 0 nor 1. Knows no task and no run.
"""

from cobatrain.tiny.model import (
    CHARACTERS,
    SPECIALS,
    build_tiny,
    encode,
    save,
    tiny_config,
    tiny_tokenizer,
)
from cobatrain.tiny.supervision import WarmUp, WarmUpRow, warm_up

__all__ = [
    "CHARACTERS",
    "SPECIALS",
    "WarmUp",
    "WarmUpRow",
    "build_tiny",
    "encode",
    "save",
    "tiny_config",
    "tiny_tokenizer",
    "warm_up",
]
