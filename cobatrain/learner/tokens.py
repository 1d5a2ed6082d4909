"""The token ids of a task's prompts."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from cobasim.errors import InputError
from cobatrain.config import TrainConfig
from cobatrain.tasks import Task, format_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def prompt_tokens(
    task: Task, tokenizer: PreTrainedTokenizerBase, config: TrainConfig
) -> dict[str, list[int]]:
    """Token ids of every prompt of a task by its text, with the chat template if it has one.

    Raises InputError for a prompt that has no tokens, or that leaves no room for a completion of
    ``sampling.max_tokens``.
    """
    tokens: dict[str, list[int]] = {}
    for prompt in chain(task.train, *task.heldout.values()):
        if prompt.text in tokens:
            continue
        text = format_prompt(prompt, tokenizer, system=config.model.system)
        special = text == prompt.text  # a template brings its own special tokens
        ids = [int(token) for token in tokenizer(text, add_special_tokens=special)["input_ids"]]
        room, length = config.engine.max_model_len, config.sampling.max_tokens
        if not ids or len(ids) + length > room:
            raise InputError(
                f"the prompt {prompt.text[:60]!r} ({prompt.source}) has {len(ids)} tokens; with "
                f"sampling.max_tokens = {length} it needs between 1 and {room - length}, as "
                f"engine.max_model_len is {room}: raise it, lower max_tokens or leave the "
                "prompt out"
            )
        tokens[prompt.text] = ids
    return tokens
