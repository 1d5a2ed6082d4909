"""The chat template."""

import pytest

from cobasim.errors import InputError
from cobatrain.tasks import Prompt, format_prompt


class Chat:
    chat_template = "there is one"

    def apply_chat_template(self, conversation, *, tokenize, add_generation_prompt):
        assert not tokenize
        assert add_generation_prompt
        return "|".join(f"{m['role']}:{m['content']}" for m in conversation) + "|assistant:"


class Bare:
    chat_template = None


def test_chat_template_is_applied_with_the_system_message():
    prompt = Prompt("2+2=", "4", "l", "s")
    assert format_prompt(prompt, Chat()) == "user:2+2=|assistant:"
    assert format_prompt(prompt, Chat(), system="S") == "system:S|user:2+2=|assistant:"
    own = Prompt("2+2=", "4", "l", "s", {"system": "own"})
    assert format_prompt(own, Chat()).startswith("system:own|")
    assert format_prompt(own, Chat(), system="S").startswith("system:S|")
    assert format_prompt(prompt, Bare()) == "2+2="
    with pytest.raises(InputError, match="no chat template"):
        format_prompt(prompt, Bare(), system="S")


def test_earlier_turns_are_shown_too():
    turns = (("user", "1+1="), ("assistant", "2"))
    prompt = Prompt("2+2=", "4", "l", "s", {"turns": turns, "system": "S"})
    shown = "system:S|user:1+1=|assistant:2|user:2+2=|assistant:"
    assert format_prompt(prompt, Chat()) == shown
    bare = Prompt("2+2=", "4", "l", "s", {"turns": turns})
    assert format_prompt(bare, Bare()) == "1+1=\n\n2\n\n2+2="
