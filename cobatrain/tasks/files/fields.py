"""From a row to a problem: what the values under its columns mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from cobatrain.tasks.files.columns import Columns, has, value_of
from cobatrain.tasks.files.rows import BadRow


@dataclass(frozen=True, slots=True)
class Problem:
    """What one row says."""

    text: str
    answer: str
    level: str | None
    system: str | None
    """The system message of a chat-style prompt."""


def read_problem(row: dict[str, Any], columns: Columns) -> Problem:
    """The problem of a row. Raises BadRow."""
    try:
        asked = value_of(row, columns.problem)
        given = value_of(row, columns.answer)
    except KeyError as error:
        raise BadRow(f"no column {error.args[0]!r}") from None
    if str(row.get("modality") or "").lower().startswith("multi"):
        raise BadRow("the problem needs an image")
    text, system = _problem_text(asked)
    context = row.get("context")
    if isinstance(context, str) and context.strip():
        text = f"{context.strip()}\n\n{text}"
    try:
        answer = answer_text(given)
    except ValueError as why:
        raise BadRow(str(why)) from None
    level = value_of(row, columns.level) if columns.level and has(row, columns.level) else None
    return Problem(text, answer, None if level in (None, "") else str(level), system)


def answer_text(value: Any) -> str:
    """A reference answer as text: 142.0 is "142", a list is joined by commas.

    Raises ValueError if the answer is empty, or not a string, number or list of these.
    """
    if isinstance(value, bool) or value is None:
        raise ValueError("empty answer" if value is None else "the answer is true or false")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"the answer is {value}")
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, list):
        if not value:
            raise ValueError("empty answer")
        return ", ".join(answer_text(item) for item in value)
    if not isinstance(value, str):
        raise ValueError(f"the answer is a {type(value).__name__}")
    text = value.strip()
    if not text or not text.strip("$ "):
        raise ValueError("empty answer")
    return text


def _problem_text(value: Any) -> tuple[str, str | None]:
    """(problem, system message) of a text or of a chat with one user message. Raises BadRow."""
    system = None
    if isinstance(value, list):
        users = []
        for message in value:
            role = message.get("role") if isinstance(message, dict) else None
            content = message.get("content") if isinstance(message, dict) else None
            if not isinstance(content, str) or role not in ("user", "system"):
                raise BadRow("the prompt is not a list of user and system messages")
            if role == "user":
                users.append(content)
            else:
                system = content
        if len(users) != 1:
            raise BadRow(f"the prompt has {len(users)} user messages, expected 1")
        value = users[0]
    if not isinstance(value, str):
        raise BadRow(f"the problem is {type(value).__name__}, expected text")
    if not value.strip():
        raise BadRow("empty problem")
    return value.strip(), system
