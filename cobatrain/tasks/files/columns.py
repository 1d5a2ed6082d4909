"""Which columns of a file hold the problem, the answer and the level.

The published layouts are recognised by their columns: `problem`/`answer` (MATH-500, AIME),
`question`/`answer` (AMC23), `question`/`final_answer` (OlympiadBench, a list), and the chat-style
`prompt` with `reward_model.ground_truth` (DAPO-Math-17K). Other columns are named in the config.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cobasim.errors import InputError
from cobatrain.tasks.files.config import FileSource

LAYOUTS = (
    ("prompt", "reward_model.ground_truth"),
    ("problem", "answer"),
    ("question", "answer"),
    ("question", "final_answer"),
    ("problem", "final_answer"),
    ("problem", "expected_answer"),
    ("prompt", "answer"),
    ("prompt", "ground_truth"),
)
"""(problem, answer), first match wins; names are compared without regard to case."""

_LEVELS = ("level", "difficulty")


@dataclass(frozen=True)
class Columns:
    """Names of the columns to read, dots for nested ones."""

    problem: str
    answer: str
    level: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """All that a row is read for."""
        extra = ("context", "modality")  # OlympiadBench
        return (self.problem, self.answer, *([self.level] if self.level else []), *extra)


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """The value under a dotted name, ignoring case. Raises KeyError if missing."""
    value: Any = row
    for part in column.split("."):
        if isinstance(value, str) and value.lstrip()[:1] == "{":  # a struct saved as JSON text
            try:
                value = json.loads(value)
            except ValueError:
                raise KeyError(column) from None
        if not isinstance(value, Mapping):
            raise KeyError(column)
        if part not in value:
            part = next((name for name in value if str(name).lower() == part.lower()), part)
        if part not in value:
            raise KeyError(column)
        value = value[part]
    return value


def has(row: Mapping[str, Any], column: str) -> bool:
    """Whether `value_of` gives a value."""
    try:
        value_of(row, column)
    except KeyError:
        return False
    return True


def columns_of(file: Path, row: Mapping[str, Any], source: FileSource) -> Columns:
    """The columns to read, named by the source or recognised from a row.

    Raises InputError, with the row's columns, if they are not found.
    """
    given = [name for name in (source.problem, source.answer, source.level) if name]
    missing = [name for name in given if not has(row, name)]
    present = ", ".join(map(str, row)) or "none"
    if missing:
        raise InputError(f"{file} has no column {', '.join(missing)}; its columns are: {present}")
    for problem, answer in LAYOUTS:
        problem, answer = source.problem or problem, source.answer or answer
        if has(row, problem) and has(row, answer):
            level = source.level or next((name for name in _LEVELS if has(row, name)), None)
            return Columns(problem, answer, level)
    raise InputError(
        f"{file}: no known pair of problem and answer columns among: {present}. Name them in the "
        "config as `problem` and `answer`"
    )
