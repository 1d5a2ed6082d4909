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


class Thinking:
    """A template with a variable, that takes questions only."""

    chat_template = "{% if enable_thinking %}"

    def apply_chat_template(self, conversation, *, tokenize, add_generation_prompt, **variables):
        if not conversation[-1]["content"].endswith("="):
            raise ValueError("questions\nonly")
        return f"{conversation[-1]['content']}{variables}"


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


def test_variables_reach_the_template():
    prompt, kwargs = Prompt("2+2=", "4", "l", "s"), {"enable_thinking": False}
    assert format_prompt(prompt, Thinking(), template_kwargs=kwargs) == f"2+2={kwargs}"
    assert format_prompt(prompt, Thinking()) == "2+2={}"


@pytest.mark.parametrize(
    ("tokenizer", "kwargs", "words"),
    [
        (Thinking(), {"enable_thinkng": False}, "'enable_thinkng', which .* never reads"),
        (Thinking(), {"tokenize": True}, "'tokenize', which is set here"),
        (Bare(), {"enable_thinking": False}, "has no chat template"),
    ],
)
def test_variables_that_nobody_reads_are_refused(tokenizer, kwargs, words):
    with pytest.raises(InputError, match=words):
        format_prompt(Prompt("2+2=", "4", "l", "s"), tokenizer, template_kwargs=kwargs)


def test_a_prompt_that_the_template_refuses_is_named_in_one_line():
    with pytest.raises(InputError, match=r"refuses the prompt 'hello' \(line 7\): questions only"):
        format_prompt(Prompt("hello", "4", "l", "line 7"), Thinking())
