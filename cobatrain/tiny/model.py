"""The untrained tiny model and its tokenizer: Qwen3 architecture, one token a character."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import (
        PreTrainedTokenizerBase,
        PreTrainedTokenizerFast,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

SPECIALS = ("<pad>", "<bos>", "<eos>")
CHARACTERS = "0123456789+-*="


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return the character tokenizer: ids 0, 1, 2 are pad, bos, eos; a prompt starts with bos.

    There is no unknown token: encoding any other character than 0-9 + - * = raises ValueError.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate((*SPECIALS, *CHARACTERS))}
    inner = Tokenizer(models.WordLevel(vocabulary))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    inner.decoder = decoders.Fuse()
    inner.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", vocabulary["<bos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def tiny_config(
    *,
    hidden: int = 128,
    layers: int = 4,
    heads: int = 4,
    intermediate: int = 512,
    context: int = 128,
    tied: bool = False,
) -> Qwen3Config:
    """The architecture of a tiny model; see `build_tiny`.

    Raises:
        ValueError: hidden is not a multiple of heads, or its heads are of odd size.
    """
    from transformers import Qwen3Config

    if hidden % heads or (hidden // heads) % 2:
        raise ValueError(
            f"hidden = {hidden} and heads = {heads}; expected hidden to be an even multiple of "
            f"heads (rotary embeddings pair the entries of a head)"
        )
    tokenizer = tiny_tokenizer()
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=hidden // heads,
        max_position_embeddings=context,
        tie_word_embeddings=tied,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        dtype="float32",
    )


def build_tiny(
    path: str | Path, seed: int, **sizes: Any
) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """Make an untrained tiny model and its tokenizer, save both to `path`, and return them.

    `sizes` are those of `tiny_config`, whose defaults give 1.05M parameters. Float32. Initialised
    from `seed` alone; torch's global random state is left unchanged.

    Raises:
        ValueError: hidden is not a multiple of heads, or its heads are of odd size.
    """
    from transformers import Qwen3ForCausalLM

    config = tiny_config(**sizes)
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config).float()
    save(path, model, tokenizer)
    return model, tokenizer


def save(path: str | Path, model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write model and tokenizer to the folder `path` in the Hugging Face format."""
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return bos and one id for each character of `text`.

    Raises:
        ValueError: a character outside the tokenizer's alphabet.
    """
    unknown = sorted(set(text) - set(CHARACTERS))
    if unknown:
        raise ValueError(
            f"{text[:40]!r} contains {unknown}, which the tiny tokenizer does not know; "
            f"expected only {CHARACTERS!r}"
        )
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids
