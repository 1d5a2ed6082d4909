"""From a prompt to the text that the model continues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from cobasim.errors import InputError
from cobatrain.tasks.prompts import Prompt


class TemplateRefusal(InputError):
    """A chat template raises for a prompt; ``why`` is what it says, in one line."""

    def __init__(self, prompt: Prompt, why: str) -> None:
        self.why = why
        super().__init__(
            f"the model's chat template refuses the prompt {prompt.text[:60]!r} ({prompt.source}): "
            f"{why}"
        )


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that `format_prompt` uses."""

    chat_template: Any

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        tokenize: bool,
        add_generation_prompt: bool,
        **variables: Any,
    ) -> Any:
        """Render messages to one string."""


OWN_ARGUMENTS = frozenset(
    {"add_generation_prompt", "chat_template", "continue_final_message", "conversation", "messages",
     "max_length", "padding", "return_assistant_tokens_mask", "return_dict", "return_tensors",
     "tokenize", "tokenizer_kwargs", "truncation"}
)  # fmt: skip
"""Arguments of ``apply_chat_template`` that are not for the template, or not for anyone to set."""


def check_template_kwargs(kwargs: Mapping[str, Any]) -> None:
    """Raise InputError for a variable of the chat template that ``format_prompt`` sets itself."""
    for name in kwargs:
        if name in OWN_ARGUMENTS:
            raise InputError(
                f"chat_template_kwargs has {name!r}, which is set here: give variables of the "
                "model's own template only, such as enable_thinking"
            )


def format_prompt(
    prompt: Prompt,
    tokenizer: ChatTokenizer,
    *,
    system: str | None = None,
    template_kwargs: Mapping[str, Any] | None = None,
) -> str:
    """The text that the model continues: the chat template applied to the prompt.

    A tokenizer without a chat template (that of a base or character-level model) gives the bare
    text, after the earlier turns of a chat (metadata "turns") with empty lines between them.
    `system` replaces a system message that came with the prompt (metadata "system");
    `template_kwargs` are variables of the template, such as {"enable_thinking": False} of Qwen3.

    Raises InputError if there is a system message or a variable and no template to put it in, for a
    variable that the template never names; TemplateRefusal if the template refuses the prompt.
    """
    variables = dict(template_kwargs or {})
    check_template_kwargs(variables)
    turns = prompt.metadata.get("turns", ())
    system = system if system is not None else prompt.metadata.get("system")
    if not getattr(tokenizer, "chat_template", None):
        if system:
            raise InputError(
                "a system message was given but the tokenizer has no chat template: "
                "leave the system message out or use a chat model's tokenizer"
            )
        if variables:
            raise InputError(
                f"chat_template_kwargs has {', '.join(variables)}, but the tokenizer has no chat "
                "template: leave them out or use a chat model's tokenizer"
            )
        return "\n\n".join([*(text for _, text in turns), prompt.text])
    said = [*([("system", system)] if system else []), *turns, ("user", prompt.text)]
    messages = [{"role": role, "content": text} for role, text in said]
    for name in variables:
        if isinstance(tokenizer.chat_template, str) and name not in tokenizer.chat_template:
            raise InputError(
                f"chat_template_kwargs has {name!r}, which the model's chat template never reads: "
                "correct the name or leave it out"
            )
    try:
        rendered = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **variables
        )
    except Exception as error:  # a template is a program of the model's: it raises what it likes
        why = " ".join(str(error).split()) or type(error).__name__
        raise TemplateRefusal(prompt, why) from error
    return str(rendered)
