"""JSON text as values, every key of an object once."""

from __future__ import annotations

import json
from typing import Any

from cobasim.errors import InputError


def parse(text: str) -> Any:
    """The value of a JSON text.

    Raises InputError if an object names a key twice, ValueError if the text is not JSON, and
    RecursionError if it is nested too deeply.
    """
    return _DECODER.decode(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"the key {twice[:60]!r} stands twice in one object")
    return content


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
