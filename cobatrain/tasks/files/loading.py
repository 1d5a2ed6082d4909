"""The usable problems of one source, each once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from cobasim.data import UNNAMED, BadRow, data_files, ending_of, read_rows
from cobasim.errors import InputError
from cobatrain.tasks.accounts import DataSet, sample_pairs
from cobatrain.tasks.files.columns import Columns, columns_of, is_unnamed, wanted_columns
from cobatrain.tasks.files.config import FileSource
from cobatrain.tasks.files.fields import NOT_AN_OBJECT, Problem, read_problem
from cobatrain.tasks.prompts import Prompt, text_key
from cobatrain.tasks.rewards import NO_COLUMNS, RewardColumns
from cobatrain.tasks.verify import answer_key
from cobatrain.tasks.wording import counted, counted_reason

_SHOWN = 5  # bad rows that an error names
_DETAIL = re.compile(r" \(|: ")  # what follows differs from row to row
_BY_COLUMN = (".parquet", ".arrow", ".feather")  # endings of files whose columns are read alone

DUPLICATES = "repeat a problem"
CONFLICTING = "have contradicting answers"


@dataclass(frozen=True)
class Loaded:
    """The usable rows of one source, each problem once."""

    prompts: tuple[Prompt, ...]
    duplicates: int
    """Rows dropped because their problem had come before with the same answer."""
    conflicting: int
    """Problems dropped because their rows disagree about the answer."""
    bad: tuple[str, ...]
    """Rows that could not be used, "file: line 12: why"; empty unless skipping was asked for."""
    account: DataSet
    """Every row, for people."""


def load(
    source: FileSource,
    name: str,
    *,
    instruction: str = "",
    on_bad_row: str = "error",
    final_answers: bool = True,
    columns: RewardColumns = NO_COLUMNS,
) -> Loaded:
    """Reads a source; `name` is the level of prompts without one.

    Prompts of which the model is shown the same are one problem; of the `columns` that the reward
    takes, its first row counts. Answers in prose are refused, unless they are judged by a
    reward of the user's own or letter by letter (not `final_answers`).

    Raises InputError if the file is missing or unreadable, columns are missing, there are no rows
    or, unless `on_bad_row` is "skip", rows are malformed (all counted, the first five named by
    file and line or row number).
    """
    rows = _Rows(final_answers, columns)
    for file in data_files(source.path, source.split):
        rows.read(file, source)
    if rows.count == 0:
        raise InputError(f"{source.path}: no rows")
    if rows.bad and on_bad_row == "error":
        raise _bad_rows(source.path, rows)

    answers: dict[str, str] = {}
    conflicts: set[str] = set()
    kept: dict[str, tuple[Prompt, str]] = {}
    for where, problem in rows.first.values():
        prompt = _prompt(problem, where, name, instruction)
        answer = answer_key(problem.answer)
        if answers.setdefault(prompt.shown, answer) != answer:
            conflicts.add(prompt.shown)
        kept.setdefault(prompt.shown, (prompt, problem.text))
    usable = [pair for shown, pair in kept.items() if shown not in conflicts]
    duplicates = rows.count - len(rows.bad) - len(kept)
    dropped = {**rows.reasons, DUPLICATES: duplicates, CONFLICTING: len(conflicts)}
    if not usable:
        why = "; ".join(counted_reason(n, reason) for reason, n in dropped.items() if n)
        all_rows = counted(rows.count, "row")
        raise InputError(f"{source.path}: none of its {all_rows} can be used: {why}")
    prompts = tuple(prompt for prompt, _ in usable)
    account = DataSet(
        name=name,
        path=str(source.path),
        columns=str(rows.columns),
        rows=rows.count,
        used=len(prompts),
        dropped={reason: n for reason, n in dropped.items() if n},
        samples=sample_pairs(prompts, [problem for _, problem in usable]),
        left_out=tuple(rows.bad),
    )
    return Loaded(prompts, duplicates, len(conflicts), tuple(rows.bad), account)


class _Rows:
    """All rows of a source, good and bad."""

    def __init__(self, final_answers: bool, reward: RewardColumns) -> None:
        self.final_answers = final_answers
        self.reward = reward
        self.count = 0
        self.first: dict[Hashable, tuple[str, Problem]] = {}  # of each problem with its answer
        self.bad: list[str] = []
        self.reasons: Counter[str] = Counter()
        self.columns: Columns | None = None
        self.header: list[str] = []  # of rows that are lists of values
        self.unknown: InputError | None = None  # what was wrong with the columns of the first row

    def read(self, file: Path, source: FileSource) -> None:
        """Take the rows of one file. Raises InputError."""
        self.columns, self.header, self.unknown = None, [], None
        wanted = wanted_columns(source, self.reward)
        if ending_of(file) in _BY_COLUMN:  # so that the others are not even read
            first = next((row for _, row in read_rows(file) if isinstance(row, dict)), None)
            if first is not None:
                self.columns = columns_of(file, first, source, self.reward)
                wanted = self.columns.names
        for number, (where, row) in enumerate(read_rows(file, wanted)):
            if number == 0 and _is_header(row, wanted):
                self.header = row[UNNAMED]
                continue
            self.count += 1
            try:
                problem = self._problem(file, row, source)
            except BadRow as why:
                self.bad.append(f"{file}: {where}: {why}")
                self.reasons[_DETAIL.split(str(why), maxsplit=1)[0]] += 1
            else:
                self.first.setdefault(problem.identity, (f"{file.name} {where}", problem))
        if self.columns is None and self.unknown is not None:
            raise self.unknown

    def _problem(self, file: Path, row: dict[str, Any] | BadRow, source: FileSource) -> Problem:
        if isinstance(row, BadRow):
            raise row
        if self.header:
            row = _named(row, self.header)
        if self.columns is None:
            if is_unnamed(row) and not _is_chat(row[UNNAMED]):
                raise BadRow(NOT_AN_OBJECT)
            try:
                self.columns = columns_of(file, row, source, self.reward)
            except InputError as error:
                self.unknown = self.unknown or error
                self.reward.check_row(row)
                raise BadRow("no known pair of problem and answer columns") from None
        return read_problem(row, self.columns, final_answers=self.final_answers)


def _is_header(row: dict[str, Any] | BadRow, wanted: Sequence[str]) -> TypeGuard[dict[str, Any]]:
    """Whether a first row is a list that names columns."""
    values = row.get(UNNAMED) if isinstance(row, dict) else None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return False
    names = {value.lower() for value in values}
    return len(names) == len(values) and not names.isdisjoint(name.lower() for name in wanted)


def _named(row: dict[str, Any], header: list[str]) -> dict[str, Any]:
    """A row that is a list of values, under the names of the header. Raises BadRow."""
    values = row.get(UNNAMED)
    if not isinstance(values, list) or len(values) != len(header):
        given = counted(len(values), "value") if isinstance(values, list) else "no list"
        raise BadRow(f"{given}, but the header has {len(header)}")
    return dict(zip(header, values, strict=True))


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _bad_rows(path: Path, rows: _Rows) -> InputError:
    """The error for rows that cannot be used."""
    advice = "set on_bad_row to 'skip' to leave them out"
    if len(rows.bad) == 1:
        return InputError(f"{rows.bad[0]} (1 of {counted(rows.count, 'row')}; {advice})")
    more = [f"and {len(rows.bad) - _SHOWN} more"] if len(rows.bad) > _SHOWN else []
    shown = "\n  ".join(rows.bad[:_SHOWN] + more)
    return InputError(
        f"{len(rows.bad):,} of {rows.count:,} rows of {path} cannot be used ({advice}):\n  {shown}"
    )


def _prompt(problem: Problem, where: str, name: str, instruction: str) -> Prompt:
    text = f"{problem.text}\n\n{instruction}" if instruction else problem.text
    metadata: dict[str, Any] = {"key": text_key(problem.text)}
    if problem.chat.system:
        metadata["system"] = problem.chat.system
    if problem.chat.before:
        metadata["turns"] = problem.chat.before
    if problem.columns:
        metadata["columns"] = problem.columns
    return Prompt(text, problem.answer, problem.level or name, where, metadata)
