"""Loading the policy: a language model and its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from cobasim.errors import InputError
from cobatrain.config import TrainConfig
from cobatrain.lora import add_adapters
from cobatrain.parallel import usable_device

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def load_policy(config: TrainConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer of a local folder, the model on its device and in eval mode.

    With ``model.lora`` the model has adapters that change nothing yet, and all else is frozen.
    Raises InputError if the folder lacks the config, weights or tokenizer, and for LoRA without
    peft or for layers that the model does not have.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = config.model.path
    if not Path(path).exists() and config.model.can_be_made:
        raise InputError(f"{path} does not exist; `cobatrain prepare` makes this model")
    if Path(path).is_dir() and not any((Path(path) / name).is_file() for name in VOCABULARIES):
        raise InputError(f"{path} has no tokenizer: expected one of {', '.join(VOCABULARIES)}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            path, dtype=getattr(torch, config.model.dtype), local_files_only=True
        )
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{path} is not a folder with a causal language model and its tokenizer in the Hugging "
            f"Face format: {reason}"
        ) from None
    torch.nn.Module.to(model, usable_device(config.model.device))  # in place
    if config.model.lora is not None:
        add_adapters(model, config.model.lora, config.seed)
    torch.nn.Module.train(model, False)
    return model, tokenizer
