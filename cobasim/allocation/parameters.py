"""Parameters of allocators: dataclass fields with a description and bounds."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from cobasim.errors import InputError, unknown_name


def parameter(
    default: Any,
    doc: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field with a description and bounds; a default of None means "derived"."""
    bounds = {"above": above, "at_least": at_least, "at_most": at_most, "choices": choices}
    metadata = {"doc": doc} | {k: v for k, v in bounds.items() if v is not None}
    return dataclasses.field(default=default, metadata=metadata)


def parameter_of(kind: type[Any], name: str) -> Any:
    """A field that equals parameter ``name`` of another allocator class."""
    (field,) = [field for field in dataclasses.fields(kind) if field.name == name]
    return dataclasses.field(default=field.default, metadata=field.metadata)


def check_parameters(owner: Any) -> None:
    """Raise InputError if a field of the dataclass instance ``owner`` is out of bounds."""
    for field in dataclasses.fields(owner):
        _check(type(owner).__name__, field, getattr(owner, field.name))


def _check(owner: str, field: dataclasses.Field[Any], value: Any) -> None:
    bounds = field.metadata
    if value is None and field.default is None:
        return
    if "choices" in bounds:
        if value not in bounds["choices"]:
            raise unknown_name(field.name, str(value), bounds["choices"])
        return
    whole = field.type == "int"
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kinds):
        what = "a whole number" if whole else "a number"
        raise InputError(f"{owner}: {field.name} must be {what}, got {value!r}")
    wanted = []
    if "above" in bounds and not value > bounds["above"]:
        wanted.append(f"above {bounds['above']:g}")
    if "at_least" in bounds and not value >= bounds["at_least"]:
        wanted.append(f"at least {bounds['at_least']:g}")
    if "at_most" in bounds and not value <= bounds["at_most"]:
        wanted.append(f"at most {bounds['at_most']:g}")
    if not _is_finite(value):
        wanted.append("finite")
    if wanted:
        raise InputError(f"{owner}: {field.name} must be {' and '.join(wanted)}, got {value}")


def _is_finite(number: Any) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer too large for a float
        return False
