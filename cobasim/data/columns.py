"""Columns of rows by name: nested ones by dots, letter case ignored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from typing import Any

LIKELY = (
    "*pass_rate*", "*passrate*", "*pass@1*", "*solve_rate*", "*success_rate*", "*avg@*", "*mean@*",
    "*accuracy*", "*difficulty*", "*solve*", "*correct*", "*failure*", "*passes*",
)  # fmt: skip
"""Patterns of names under which pass rates are published, the surest first."""


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """The value under a name, dots for nested ones; a name that holds the dots itself wins.

    A name in the exact letter case wins over others; of several that differ in case only none is
    taken. Raises KeyError if there is none, or several.
    """
    if column in row:
        return row[column]
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
            alike = [name for name in value if str(name).lower() == part.lower()]
            if len(alike) != 1:
                raise KeyError(column)
            part = alike[0]
        value = value[part]
    return value


def has(row: Mapping[str, Any], column: str) -> bool:
    """Whether ``value_of`` gives a value."""
    try:
        value_of(row, column)
    except KeyError:
        return False
    return True


def names_of(row: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """All names of a row, those of nested objects with dots."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from names_of(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def likely_columns(row: Mapping[str, Any]) -> list[str]:
    """Names of a row that may hold pass rates, the likeliest first."""
    names = [name for name in names_of(row) if name]
    return list(
        dict.fromkeys(
            name for pattern in LIKELY for name in names if fnmatch(name.lower(), pattern)
        )
    )
