"""Loading the policy, a language model and its tokenizer, and the reference of the KL term."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cobasim.errors import InputError
from cobatrain.config import TrainConfig
from cobatrain.lora import add_adapters
from cobatrain.parallel import usable_device
from cobatrain.update import rounded_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def load_policy(
    config: TrainConfig, *, empty: bool = False, device: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer of a local folder, the model on its device and in eval mode.

    With ``model.lora`` the model has adapters that change nothing yet, and all else is frozen.

    Args:
        config: the run.
        empty: make the model without weights (on torch's meta device), to be filled by another
            rank's; only its config.json is read.
        device: for the model; None: the config's.

    Raises InputError if the folder lacks the config, weights or tokenizer, and for LoRA without
    peft or for layers that the model does not have.
    """
    from transformers import AutoTokenizer

    path = config.model.path
    if not Path(path).exists() and config.model.can_be_made:
        raise InputError(f"{path} does not exist; `cobatrain prepare` makes this model")
    if Path(path).is_dir() and not any((Path(path) / name).is_file() for name in VOCABULARIES):
        raise InputError(f"{path} has no tokenizer: expected one of {', '.join(VOCABULARIES)}")
    with _readable(path):
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = _model(path, config.model.dtype, empty=empty)
    if not empty:
        torch.nn.Module.to(model, device or usable_device(config.model.device))  # in place
    if config.model.lora is not None:
        add_adapters(model, config.model.lora, config.seed)
    torch.nn.Module.train(model, False)
    return model, tokenizer


def load_reference(
    config: TrainConfig, *, empty: bool = False, device: str | None = None, sharded: bool = False
) -> PreTrainedModel:
    """The model of the KL term: that of the folder, frozen, in eval mode; arguments as above.

    Under ``update.bf16`` weights that are rounded to bfloat16 before every use are kept in it: all,
    if the model is to be sharded, else those of linear layers that are not shared. So the numbers
    are those of float32 weights, in half the memory.
    """
    rounded = config.update.bf16 and config.model.dtype == "float32"
    dtype = "bfloat16" if rounded and sharded else config.model.dtype
    path = config.model.path
    with _readable(path):
        model = _model(path, dtype, empty=empty)
    if rounded and not sharded:
        for layer in rounded_layers(model):
            layer.to(torch.bfloat16)
    if not empty:
        torch.nn.Module.to(model, device or usable_device(config.model.device))  # in place
    model.requires_grad_(False)
    torch.nn.Module.train(model, False)
    return model


def _model(path: str, dtype: str, *, empty: bool) -> PreTrainedModel:
    from transformers import AutoConfig, AutoModelForCausalLM

    auto: Any = AutoModelForCausalLM
    kind = getattr(torch, dtype)
    model: PreTrainedModel
    if empty:
        settings = AutoConfig.from_pretrained(path, local_files_only=True)
        with torch.device("meta"):
            model = auto.from_config(settings, dtype=kind)
    else:
        model = auto.from_pretrained(path, dtype=kind, local_files_only=True)
    return model


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """InputError for what transformers raises where a folder is not a model's."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{path} is not a folder with a causal language model and its tokenizer in the Hugging "
            f"Face format: {reason}"
        ) from None
