"""Prompts that are chats: a list of turns, the last one asked by the user.

Turns are `{"role": "user", "content": text}`, or `{"from": "human", "value": text}`. In a CSV file
the list is a text: JSON, or what Python prints of it.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cobasim.data import BadRow

_ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "system": "system",
}
"""Names of roles as published -> those of chat templates."""

_LIST_OF_OBJECTS = re.compile(r"\s*\[\s*\{.*\}\s*\]\s*", re.DOTALL)
_NAMES_A_ROLE = re.compile(r"""(["'])(?:role|from)\1\s*:""")


@dataclass(frozen=True, slots=True)
class Chat:
    """What is asked, and what was said before."""

    question: str
    """The last turn of the user."""
    before: tuple[tuple[str, str], ...] = ()
    """(role, text) of the turns before it, such as worked examples; the system message apart."""
    system: str | None = None
    truth: Any = None
    """The `ground_truth` of a last turn that is the assistant's; None without one."""


def read_chat(value: Any) -> Chat:
    """The chat of a text, or of a list of turns, which may be written as a text. Raises BadRow."""
    if isinstance(value, str):
        turns_in_text = _turns_in(value)
        if turns_in_text is None:
            return Chat(_asked(value))
        value = turns_in_text
    if not isinstance(value, list):
        raise BadRow(f"the problem is {type(value).__name__}, expected text or a list of messages")
    system, truth = None, None
    turns: list[tuple[str, str]] = []
    for place, message in enumerate(value):
        role = _role(message)
        if role == "assistant" and place == len(value) - 1 and "ground_truth" in message:
            truth = message["ground_truth"]
            truth = truth.get("value") if isinstance(truth, Mapping) else truth
            break
        text = _text(message)
        if role == "system":
            if system is not None:
                raise BadRow("the prompt has several system messages, expected 1 at most")
            if turns:
                raise BadRow("the prompt has a system message after others, expected it first")
            system = text
        else:
            turns.append((role, text))
    _check_order([role for role, _ in turns])
    return Chat(_asked(turns[-1][1]), tuple(turns[:-1]), system, truth)


def _turns_in(text: str) -> list[Any] | None:
    """The list of turns that a text holds; None for any other text. Raises BadRow."""
    if not (_LIST_OF_OBJECTS.fullmatch(text) and _NAMES_A_ROLE.search(text)):
        return None
    for read in (json.loads, _literal):
        try:
            turns: list[Any] = read(text)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
        named = any(isinstance(turn, Mapping) and {"role", "from"} & set(turn) for turn in turns)
        return turns if named else None
    raise BadRow("the prompt looks like a list of messages, but is not JSON")


def _literal(text: str) -> Any:
    """What a literal of Python means."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.literal_eval(text.strip())


def _asked(text: str) -> str:
    if not text.strip():
        raise BadRow("empty problem")
    _check_unicode(text)
    return text.strip()


def _check_unicode(text: str) -> None:
    """Raise BadRow for half a character, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRow("the problem has half a character (a lone surrogate)") from None


def _role(message: Any) -> str:
    named = message.get("role", message.get("from")) if isinstance(message, Mapping) else None
    role = _ROLES.get(str(named).lower())
    if role is None:
        known = "user, assistant and system"
        raise BadRow(f"the prompt is not a list of messages of {known} (role {str(named)[:40]!r})")
    return role


def _text(message: Mapping[str, Any]) -> str:
    """The text of a turn, also of one in parts. Raises BadRow."""
    content = message.get("content", message.get("value"))
    if isinstance(content, list) and content and all(isinstance(part, Mapping) for part in content):
        if any(part.get("type") not in (None, "text") for part in content):
            raise BadRow("the problem needs an image")
        parts = [part.get("text") for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise BadRow("a part of a message has no text")
        content = "\n".join(parts)
    if not isinstance(content, str):
        raise BadRow(f"a message of the prompt has no text (content {str(content)[:40]!r})")
    _check_unicode(content)
    return content


def _check_order(roles: list[str]) -> None:
    """Raise BadRow unless the roles alternate, from the user to the user."""
    if "user" not in roles:
        raise BadRow("the prompt has 0 user messages, expected 1")
    for first, second in pairwise(roles):
        if first == second:
            raise BadRow(f"the prompt has 2 {first} messages in a row")
    if roles[0] != "user":
        raise BadRow("the prompt begins with an assistant message, expected the user's")
    if roles[-1] != "user":
        raise BadRow("the prompt ends with an assistant message, expected the user's question")
