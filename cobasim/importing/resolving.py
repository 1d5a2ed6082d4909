"""Which columns of a log hold what: the layout's names, those that were given, what is there."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from cobasim.data import BadRow, has, is_missing, names_of, value_of
from cobasim.errors import InputError
from cobasim.importing.finding import LogFile
from cobasim.importing.layouts import Columns, Layout
from cobasim.importing.options import ImportOptions
from cobasim.importing.reading import LogReader
from cobasim.importing.rollouts import as_number

SAMPLED = 200
"""Rows that are looked at to find out what a log holds."""

MOST_NAMES, LONGEST_NAME = 30, 60
"""Names of columns in a message, and characters of each."""

NO_REWARDS = ("advantage", "image", "images")
"""Columns of TRL's tables that are never a reward."""

NAMED = ("step", "prompt", "score", "response", "length", "group", "reward", "advantage")
"""Columns that options may name."""

Rows = Sequence[Mapping[str, Any]]


def sample_rows(files: Sequence[LogFile]) -> list[dict[str, Any]]:
    """The first readable rows of a log with all their columns; none if there are no rows.

    Raises InputError for the first bad row if no row can be read.
    """
    rows: list[dict[str, Any]] = []
    first_bad: InputError | None = None
    for each in itertools.islice(LogReader(files), 10 * SAMPLED):
        if not isinstance(each.row, BadRow):
            rows.append(each.row)
        elif first_bad is None:
            first_bad = InputError(f"{each.place}: {each.row}")
        if len(rows) == SAMPLED:
            break
    if first_bad is not None and not rows:
        raise first_bad
    return rows


def resolve(layout: Layout, options: ImportOptions, rows: Rows, *, numbered: bool) -> Columns:
    """The columns of a log.

    Args:
        layout: of the log.
        options: names that were given.
        rows: some of its rows, with all columns.
        numbered: whether the names of the files say the step.

    Raises InputError for a column that is not there, and if the column of scores is in doubt.
    """
    given = {name: value for name in NAMED if (value := getattr(options, name)) is not None}
    columns = replace(layout.columns, **given)
    if columns.score is None:
        columns = replace(columns, score=_only_reward(columns, rows))
    required = {"prompt", "score", "step", *given}
    for name in (*NAMED, "answer"):
        column = getattr(columns, name)
        if column is None or any(has(row, column) for row in rows):
            continue
        if name == "step" and numbered:
            continue
        if name in required:
            raise _no_column(name, column, rows)
        columns = replace(columns, **dict[str, Any]({name: None}))
    return columns


def _only_reward(columns: Columns, rows: Rows) -> str:
    """The one column of numbers that may hold rewards."""
    numeric = number_columns(columns, rows)
    if len(numeric) == 1:
        return numeric[0]
    if not numeric:
        raise InputError(
            f"no column of rewards: there are {_listed(rows) or 'no columns'}; name it with --score"
        )
    raise InputError(
        f"{' and '.join(numeric)} may each hold the rewards: name the one that says whether a "
        "rollout passed with --score"
    )


def number_columns(columns: Columns, rows: Rows) -> list[str]:
    """Names of columns of numbers, truth values or words for truth that are not used yet."""
    used = set(asdict(columns).values()) | set(NO_REWARDS)
    names = [name for name in _names(rows) if name not in used]
    return [name for name in names if _all_numbers(rows, name)]


def binary_columns(columns: Columns, rows: Rows) -> list[str]:
    """Those of ``number_columns`` whose values are all 0 or 1, such as ``acc``."""
    return [
        name
        for name in number_columns(columns, rows)
        if {as_number(value) for value in _values(rows, name)} <= {0.0, 1.0}
    ]


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in names_of(row) if name))


def _listed(rows: Rows) -> str:
    """Names of columns for a message: not too many, short, without control characters."""
    names = [name if name.isprintable() else repr(name) for name in _names(rows)[:MOST_NAMES]]
    return ", ".join(
        name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in names
    )


def _values(rows: Rows, name: str) -> list[Any]:
    values = [value_of(row, name) for row in rows if has(row, name)]
    return [value for value in values if not is_missing(value)]


def _all_numbers(rows: Rows, name: str) -> bool:
    """Whether a column holds numbers, truth values, or words for truth, and at least one."""
    values = _values(rows, name)
    try:
        return bool(values) and all(as_number(value) is not None for value in values)
    except ValueError:
        return False


def _no_column(name: str, column: str, rows: Rows) -> InputError:
    there = _listed(rows) or "none"
    return InputError(
        f"no column {column!r} for the {name}; there are: {there}: name the right one with --{name}"
    )
