"""Which columns of a file hold the problem, the answer and the level.

Published layouts are recognised by their columns; others are named in the config. Rows may also be
chats without columns, whose last turn holds the answer (Open-Reasoner-Zero).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from cobasim.data import UNNAMED, has, names_of
from cobasim.errors import InputError
from cobatrain.tasks.files.config import FileSource
from cobatrain.tasks.rewards import NO_COLUMNS, RewardColumns

_PUBLISHED = (
    ("prompt", "reward_model.ground_truth"),  # DAPO-Math-17K, Skywork-OR1, data sets of verl
    ("problem", "answer"),  # MATH-500, AIME
    ("question", "answer"),  # GSM8K, AMC23
    ("question", "final_answer"),  # OlympiadBench
    ("problem", "final_answer"),
    ("problem", "expected_answer"),  # OpenMathReasoning
    ("prompt", "answer"),
    ("prompt", "ground_truth"),
    ("0.value", "1.ground_truth.value"),  # Open-Reasoner-Zero as a table
)
SOLUTION = "solution"  # holds a worked solution, whose end states the answer
_PROBLEMS = ("problem", "question", "prompt", "query")
_ANSWERS = (
    "answer",
    "final_answer",
    "ground_truth",
    "reward_model.ground_truth",
    "expected_answer",
    SOLUTION,
)

LAYOUTS = tuple(dict.fromkeys([*_PUBLISHED, *product(_PROBLEMS, _ANSWERS)]))
"""(problem, answer), first match wins; names are compared without regard to case."""

_LEVELS = ("level", "difficulty")
_OTHERS = ("context", "modality")  # OlympiadBench

CANDIDATES = tuple(dict.fromkeys([*(name for pair in LAYOUTS for name in pair), *_LEVELS]))
"""All columns that are looked for."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns to read, dots for nested ones."""

    problem: str
    answer: str
    """The problem's own column where its chat holds the answer too."""
    level: str | None
    guessed: bool = False
    """The answer's column was recognised by its name, not named in the config."""
    reward: RewardColumns = NO_COLUMNS

    @property
    def names(self) -> tuple[str, ...]:
        """All that a row is read for; none: all columns."""
        if self.reward.every:
            return ()
        level = [self.level] if self.level else []
        return (self.problem, self.answer, *level, *_OTHERS, *self.reward.names)

    @property
    def worked(self) -> bool:
        """Whether the answer is to be found in a worked solution."""
        return self.guessed and self.answer == SOLUTION

    def __str__(self) -> str:
        """The two columns in words."""
        if self.problem == UNNAMED:
            return "rows are chats"
        text = f"{self.problem} -> {self.answer}"
        if not self.reward.every and not self.reward.names:
            return text
        taken = [*self.reward.names, *(["all others"] if self.reward.every else [])]
        return f"{text}; the reward takes {', '.join(taken)}"


def is_unnamed(row: Mapping[str, Any]) -> bool:
    """Whether a row is a value without columns; an index without a name is a column."""
    return len(row) == 1 and UNNAMED in row


def wanted_columns(source: FileSource, reward: RewardColumns) -> tuple[str, ...]:
    """The columns that may be read of a source, before any row is known."""
    given = (source.problem, source.answer, source.level)
    return (*(name for name in given if name), *CANDIDATES, *_OTHERS, *reward.names)


def columns_of(
    file: Path, row: Mapping[str, Any], source: FileSource, reward: RewardColumns
) -> Columns:
    """The columns to read, named by the source or recognised from a row, and those of the reward.

    Raises InputError, with the row's columns, if they are not found.
    """
    columns = _problem_and_answer(file, row, source)
    reward.check(row, str(file))
    return replace(columns, reward=reward)


def _problem_and_answer(file: Path, row: Mapping[str, Any], source: FileSource) -> Columns:
    given = [name for name in (source.problem, source.answer, source.level) if name]
    missing = [name for name in given if not has(row, name)]
    present = ", ".join([name for name in names_of(row) if name][:30]) or "none"
    if missing:
        raise InputError(f"{file}: no column {missing[0]!r}; there are: {present}")
    if not given and is_unnamed(row) and isinstance(row[UNNAMED], list):
        return Columns(UNNAMED, UNNAMED, None)
    for problem, answer in LAYOUTS:
        problem, answer = source.problem or problem, source.answer or answer
        if has(row, problem) and has(row, answer):
            level = source.level or next((name for name in _LEVELS if has(row, name)), None)
            return Columns(problem, answer, level, guessed=source.answer is None)
    raise InputError(
        f"{file}: no known pair of problem and answer columns; there are: {present}. Name them in "
        "the config as `problem` and `answer`"
    )
