"""Settings at the edge: validated, frozen, unknown keys refused. Inner functions take values."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cobasim.errors import InputError, nearest

Config = TypeVar("Config", bound=BaseModel)
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Frozen(BaseModel):
    """Base of all configs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def validated(kind: type[Config], values: dict[str, Any]) -> Config:
    """``kind(**values)``; a bad value or unknown key becomes one InputError."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise InputError(one_line(error, _field_names(kind))) from None


def _field_names(kind: type[BaseModel]) -> list[str]:
    """Every setting, as a dotted path."""
    names = []
    for name, field in kind.model_fields.items():
        names.append(name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names.extend(f"{name}.{inner}" for inner in _field_names(field.annotation))
    return names


def one_line(error: ValidationError, known: Iterable[str] = ()) -> str:
    """The first problem of a pydantic error in one line, with the nearest known key."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        last = {name.rsplit(".", 1)[-1]: name for name in reversed([*known])}
        near = nearest(key.rsplit(".", 1)[-1], last)
        return f"unknown setting {key!r}" + (f": did you mean {last[near]!r}?" if near else "")
    message = problem["msg"].removeprefix("Value error, ")
    if not key or problem["type"] == "value_error":
        return message
    message = message[0].lower() + message[1:]
    return f"{key}: {message}, got {problem['input']!r}"


def read_value(text: str) -> Any:
    """A value from text: JSON if the text is JSON, otherwise the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _read_setting(setting: str, form: str) -> tuple[str, Any]:
    name, equals, text = setting.partition("=")
    if not equals or not name.strip():
        raise InputError(f"a setting reads {form}, got {setting!r}")
    return name.strip(), read_value(text)


def split_settings(settings: Iterable[str]) -> dict[str, Any]:
    """``name=value`` strings -> {"name": value}, values as ``read_value`` reads them.

    Raises InputError for a setting without a name or ``=``.
    """
    return dict(_read_setting(setting, "name=value") for setting in settings)


def changed(values: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """A copy of nested ``values``, changed by settings with dotted names: ``part.name=value``.

    A missing part is created. Raises InputError for a setting without a name or ``=``, or if a
    part on the way is not a mapping.
    """
    result = copy.deepcopy(dict(values))
    for setting in settings:
        name, value = _read_setting(setting, "name=value or part.name=value")
        *parts, last = name.split(".")
        place = result
        for part in parts:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                raise InputError(f"{setting!r}: {part} has no settings of its own")
            place = inner
        place[last] = value
    return result
