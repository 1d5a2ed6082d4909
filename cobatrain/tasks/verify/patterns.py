"""The answer by a regular expression of the user's own.

A pattern may take exponential time on a hostile text. So it is searched for in a worker, whose
limits end it, and in the end of the text only.
"""

from __future__ import annotations

import re
from collections import deque

SEARCHED = 20_000
"""Characters at the end of a response in which a pattern is looked for."""


def check_pattern(pattern: str) -> None:
    """Raise ValueError unless this is a regular expression with one group that needs some text."""
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if compiled.groups != 1:
        raise ValueError(
            f"{pattern!r} has {compiled.groups} groups, expected one, which is the answer; write "
            "other brackets as (?:...)"
        )
    if compiled.fullmatch(""):
        raise ValueError(f"{pattern!r} matches an empty text: say what stands around the answer")


def last_match(pattern: str, text: str) -> str | None:
    """What the group of the last match holds; None without a match."""
    last = deque(re.finditer(pattern, text), maxlen=1)
    return last[0][1] if last else None
