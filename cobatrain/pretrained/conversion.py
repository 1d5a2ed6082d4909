"""From a GGUF file to a model folder in the Hugging Face format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DIGIT_BY_DIGIT = ("smollm",)
"""Names of GGUF's way of cutting text in which every digit is a token of its own."""


def convert(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file to ``folder``.

    Weights are float32, without quantization; tokenizer, chat template and generation config come
    along. Raises ValueError or OSError, as transformers does, for a file that it cannot read.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    _cut_as_gguf_says(tokenizer, gguf)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype="float32")
    _take_off_quantization(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _cut_as_gguf_says(tokenizer: PreTrainedTokenizerBase, gguf: Path) -> None:
    """transformers takes GPT-2's way of cutting text whatever the file names."""
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers

    named = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
    if named is not None and named.contents() in DIGIT_BY_DIGIT:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )


def _take_off_quantization(model: PreTrainedModel) -> None:
    """The weights are plain by now, but marked: transformers would not save them as such."""
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        if name in vars(model):
            delattr(model, name)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
