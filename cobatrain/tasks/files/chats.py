"""Prompts that are chats: a list of turns, the last one asked by the user.

Turns are `{"role": "user", "content": text}`, or `{"from": "human", "value": text}`.
"""

from __future__ import annotations

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
    """The chat of a text, or of a list of turns. Raises BadRow."""
    if isinstance(value, str):
        return Chat(_asked(value))
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
            system = text
        else:
            turns.append((role, text))
    _check_order([role for role, _ in turns])
    return Chat(_asked(turns[-1][1]), tuple(turns[:-1]), system, truth)


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
        content = "\n".join(str(part.get("text", "")) for part in content)
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
