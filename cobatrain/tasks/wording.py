"""Numbers with their nouns, in the singular and the plural."""

from __future__ import annotations

_SINGULAR = {"repeat": "repeats", "have": "has", "leave": "leaves"}


def counted(number: int, noun: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def counted_reason(number: int, reason: str) -> str:
    """How many rows were dropped for a reason: ``2 repeat a problem``, ``1 repeats a problem``."""
    verb, space, rest = reason.partition(" ")
    verb = _SINGULAR.get(verb, verb) if number == 1 else verb
    return f"{number:,} {verb}{space}{rest}"
