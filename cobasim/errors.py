"""Errors that a person can act on: what was given, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something that was given cannot be used; the message says what to change."""


def unknown_name(kind: str, given: object, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a registry, with the nearest known name."""
    names = sorted(known)
    text = str(given).lower()
    near = difflib.get_close_matches(text, names, n=1)
    near = near or [name for name in names if len(text) > 3 and text in name]
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"unknown {kind} {given!r}: {hint}known: {', '.join(names)}")
