"""From a row to a problem: what the values under its columns mean."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cobasim.data import UNNAMED, BadRow, has, value_of
from cobatrain.tasks.files.chats import Chat, read_chat
from cobatrain.tasks.files.columns import Columns, is_unnamed
from cobatrain.tasks.verify import answer_text, check_final, reference

NOT_AN_OBJECT = "not a JSON object: expected columns, or a list of messages"
_WORKED = 100  # characters: a longer text in a column of solutions is no answer by itself


@dataclass(frozen=True, slots=True)
class Problem:
    """What one row says."""

    text: str
    answer: str
    level: str | None
    chat: Chat
    columns: Mapping[str, Any] = field(default_factory=dict)
    """What the reward function takes of the row."""

    @property
    def identity(self) -> Hashable:
        """What is asked, in its context, and the answer: rows that share it say the same."""
        return self.text, self.answer, self.chat.system, self.chat.before


def read_problem(row: dict[str, Any], columns: Columns, *, final_answers: bool = True) -> Problem:
    """The problem of a row. `final_answers`: an answer in prose is malformed. Raises BadRow."""
    if is_unnamed(row) and columns.problem != UNNAMED:
        raise BadRow(NOT_AN_OBJECT)
    if columns.problem == UNNAMED and not is_unnamed(row):
        raise BadRow("not a list of messages, as the first row is")
    try:
        asked = value_of(row, columns.problem)
        given = value_of(row, columns.answer)
    except KeyError as error:
        raise BadRow(f"no column {error.args[0]!r}") from None
    if str(row.get("modality") or "").lower().startswith("multi"):
        raise BadRow("the problem needs an image")
    chat = read_chat(asked)
    text = chat.question
    context = row.get("context")
    if isinstance(context, str) and context.strip():
        text = f"{context.strip()}\n\n{text}"
    if columns.answer == columns.problem:
        if chat.truth is None:
            raise BadRow("the last turn has no ground_truth")
        given = chat.truth
    level = value_of(row, columns.level) if columns.level and has(row, columns.level) else None
    answer = _answer(given, columns, final_answers)
    columns.reward.check_row(row)
    given = columns.reward.given(row)
    return Problem(text, answer, None if level in (None, "") else str(level), chat, given)


def _answer(given: Any, columns: Columns, final: bool) -> str:
    """The answer that a value states. Raises BadRow."""
    try:
        answer = reference(given)
        if final:
            check_final(answer)
        if columns.worked and answer == answer_text(given) and _is_worked(answer):
            raise ValueError("not a final answer: the solution has no box and no ####")
    except ValueError as why:
        raise BadRow(str(why)) from None
    return answer


def _is_worked(text: str) -> bool:
    return len(text) > _WORKED or "\n" in text or ". " in text
