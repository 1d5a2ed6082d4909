"""From a prompt to the text that the model continues."""

from __future__ import annotations

from typing import Any, Protocol

from cobasim.errors import InputError
from cobatrain.tasks.prompts import Prompt


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that `format_prompt` uses."""

    chat_template: Any

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> Any:
        """Render messages to one string."""


def format_prompt(prompt: Prompt, tokenizer: ChatTokenizer, *, system: str | None = None) -> str:
    """The text that the model continues: the chat template applied to the prompt.

    A tokenizer without a chat template (that of a base or character-level model) gives the bare
    text, after the earlier turns of a chat (metadata "turns") with empty lines between them.
    `system` replaces a system message that came with the prompt (metadata "system"). Raises
    InputError if there is a system message and no template to put it in.
    """
    turns = prompt.metadata.get("turns", ())
    system = system if system is not None else prompt.metadata.get("system")
    if not getattr(tokenizer, "chat_template", None):
        if system:
            raise InputError(
                "a system message was given but the tokenizer has no chat template: "
                "leave the system message out or use a chat model's tokenizer"
            )
        return "\n\n".join([*(text for _, text in turns), prompt.text])
    said = [*([("system", system)] if system else []), *turns, ("user", prompt.text)]
    messages = [{"role": role, "content": text} for role, text in said]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return str(rendered)
