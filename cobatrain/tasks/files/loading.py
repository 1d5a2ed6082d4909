"""The usable problems of one source, each once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cobasim.errors import InputError
from cobatrain.tasks.files.columns import columns_of
from cobatrain.tasks.files.config import FileSource
from cobatrain.tasks.files.fields import Problem, read_problem
from cobatrain.tasks.files.folders import data_files
from cobatrain.tasks.files.rows import READERS, BadRow, names_its_columns
from cobatrain.tasks.prompts import Prompt, text_key

_SHOWN = 5  # bad rows that an error names


@dataclass(frozen=True)
class Loaded:
    """The usable rows of one source, each problem once."""

    prompts: tuple[Prompt, ...]
    duplicates: int
    """Rows dropped because their problem had come before with the same answer."""
    conflicting: int
    """Problems dropped because their rows disagree about the answer."""
    bad: tuple[str, ...]
    """Rows that could not be used, "file, line 12: why"; empty unless skipping was asked for."""


def load(
    source: FileSource, name: str, *, instruction: str = "", on_bad_row: str = "error"
) -> Loaded:
    """Reads a source; `name` is the level of prompts without one.

    Raises InputError if the file is missing or unreadable, columns are missing, there are no rows
    or, unless `on_bad_row` is "skip", rows are malformed (all counted, the first five named by
    file and line or row number).
    """
    first: dict[tuple[str, str], tuple[str, Problem]] = {}  # of each (problem, answer)
    bad: list[str] = []
    rows = 0
    for file in data_files(source.path, source.split):
        for where, problem in _problems(file, source):
            rows += 1
            if isinstance(problem, BadRow):
                bad.append(f"{file}, {where}: {problem}")
            else:
                question = (problem.text, problem.answer)
                first.setdefault(question, (f"{file.name} {where}", problem))
    if rows == 0:
        raise InputError(f"{source.path} has no rows")
    if bad and on_bad_row == "error":
        more = [f"and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else []
        shown = "\n  ".join(bad[:_SHOWN] + more)
        raise InputError(
            f"{len(bad)} of {rows} rows of {source.path} cannot be used (set on_bad_row to 'skip' "
            f"to leave them out):\n  {shown}"
        )

    answers: dict[str, str] = {}
    conflicts: set[str] = set()
    kept: dict[str, Prompt] = {}
    for where, problem in first.values():
        key = text_key(problem.text)
        if answers.setdefault(key, problem.answer) != problem.answer:
            conflicts.add(key)
        if key not in kept:
            kept[key] = _prompt(problem, key, where, name, instruction)
    prompts = tuple(prompt for key, prompt in kept.items() if key not in conflicts)
    if not prompts:
        raise InputError(f"{source.path} has {rows} rows, and none can be used")
    duplicates = rows - len(bad) - len(kept)
    return Loaded(prompts, duplicates, len(conflicts), tuple(bad))


def _problems(file: Path, source: FileSource) -> Iterator[tuple[str, Problem | BadRow]]:
    """("line 12" or "row 12", the problem or why it cannot be used) of each row."""
    read = READERS[file.suffix]
    columns = None
    if names_its_columns(file):  # so that the others are not even read
        first = next((row for _, row in read(file, ()) if isinstance(row, dict)), None)
        columns = columns_of(file, first, source) if first is not None else None
    for where, row in read(file, columns.names if columns else ()):
        if isinstance(row, BadRow):
            yield where, row
            continue
        columns = columns or columns_of(file, row, source)
        try:
            yield where, read_problem(row, columns)
        except BadRow as why:
            yield where, why


def _prompt(problem: Problem, key: str, where: str, name: str, instruction: str) -> Prompt:
    text = f"{problem.text}\n\n{instruction}" if instruction else problem.text
    metadata = {"key": key} | ({"system": problem.system} if problem.system else {})
    return Prompt(text, problem.answer, problem.level or name, where, metadata)
