"""Errors that a person can act on: what was given, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something that was given cannot be used; the message says what to change."""


def unknown_name(kind: str, given: object, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a registry, with the nearest known name."""
    names = sorted(known)
    near = nearest(str(given), names)
    hint = f"did you mean {near!r}? " if near else ""
    return InputError(f"unknown {kind} {given!r}: {hint}known: {', '.join(names)}")


def nearest(given: str, known: Iterable[str]) -> str | None:
    """The known name that ``given`` is likely to mean: one spelled alike, or one that contains it.

    None if there is none.
    """
    names, text = list(known), given.lower()
    near = difflib.get_close_matches(text, names, n=1)
    near = near or [name for name in names if len(text) > 3 and text in name]
    return near[0] if near else None
