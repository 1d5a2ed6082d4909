"""Columns of rows by name: nested ones by dots, letter case ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from cobasim.data.objects import parse
from cobasim.errors import InputError

LIKELY = (
    "*pass_rate*", "*passrate*", "*pass@1*", "*solve_rate*", "*success_rate*", "*avg@*", "*mean@*",
    "*accuracy*", "*difficulty*", "*solve*", "*correct*", "*failure*", "*passes*",
)  # fmt: skip
"""Patterns of names under which pass rates are published, the surest first."""


LIKELY_COUNTS = (
    "n", "k_total", "*attempt*", "*num_samples*", "*n_samples*", "*samples", "*trials*", "*tries*",
    "*num_rollouts*", "*n_rollouts*", "*generations*", "*total*", "*count",
)  # fmt: skip
"""Patterns of names under which the attempts are published."""

LIKELY_PROMPTS = (
    "prompt", "prompt_id", "question", "problem", "uid", "id", "index", "unique_id", "problem_id",
    "question_id",
)  # fmt: skip
"""Names under which prompts are published, the surest first."""

DEEPEST = 40
"""Levels of nested objects whose names are given."""


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """The value under a name, dots for nested ones; a name that holds the dots itself wins.

    A name in the exact letter case wins over others; of several that differ in case only none is
    taken. Raises KeyError if there is none, or several; InputError if a struct that is saved as
    JSON text names a key twice.
    """
    if column in row:
        return row[column]
    value: Any = row
    rest = column
    while True:
        if isinstance(value, str) and value.lstrip()[:1] == "{":  # a struct saved as JSON text
            value = _struct(value, column)
        if not isinstance(value, Mapping):
            raise KeyError(column)
        name = _name_in(value, rest)
        if name is not None:
            return value[name]
        first, dot, rest = rest.partition(".")
        name = _name_in(value, first) if dot else None
        if name is None:
            raise KeyError(column)
        value = value[name]


def _struct(text: str, column: str) -> Any:
    try:
        return parse(text)
    except InputError as error:
        raise InputError(f"{error} (column {column!r})") from None
    except (ValueError, RecursionError):
        raise KeyError(column) from None


def _name_in(row: Mapping[str, Any], name: str) -> str | None:
    """A name as the row spells it; None if it has none, or several that differ in case."""
    if name in row:
        return name
    small = name.lower()
    alike = [each for each in row if str(each).lower() == small]
    return alike[0] if len(alike) == 1 else None


def has(row: Mapping[str, Any], column: str) -> bool:
    """Whether ``value_of`` gives a value."""
    try:
        value_of(row, column)
    except KeyError:
        return False
    return True


def names_of(row: Mapping[str, Any], prefix: str = "", depth: int = 1) -> Iterator[str]:
    """All names of a row, those of nested objects with dots, down to DEEPEST levels."""
    for name, value in row.items():
        if isinstance(value, Mapping) and depth < DEEPEST:
            yield from names_of(value, f"{prefix}{name}.", depth + 1)
        else:
            yield f"{prefix}{name}"


def likely_columns(row: Mapping[str, Any]) -> list[str]:
    """Names of a row that may hold pass rates, the likeliest first."""
    return _alike(row, LIKELY)


def likely_counts(row: Mapping[str, Any]) -> list[str]:
    """Names of a row that may hold the attempts behind pass rates, the likeliest first."""
    rates = likely_columns(row)
    return [name for name in _alike(row, LIKELY_COUNTS) if name not in rates]


def likely_prompts(row: Mapping[str, Any]) -> list[str]:
    """Names of a row that may tell prompts apart, the likeliest first."""
    return _alike(row, LIKELY_PROMPTS)


def _alike(row: Mapping[str, Any], patterns: Sequence[str]) -> list[str]:
    """Names of a row of which the last part fits a pattern, in the order of the patterns."""
    names = [name for name in names_of(row) if name]
    return list(
        dict.fromkeys(
            name for pattern in patterns for name in names
            if fnmatch(name.lower(), pattern) or fnmatch(name.lower().rpartition(".")[2], pattern)
        )
    )  # fmt: skip
