r"""Boxes and brackets of a text, found by linear scans: nothing is parsed."""

from __future__ import annotations

import re

_BOX = re.compile(r"\\(?:boxed|fbox)\s*")


def last_box(text: str, limit: int) -> tuple[bool, str | None]:
    r"""(whether there is a \boxed or \fbox, what the last one holds if within ``limit``)."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    return start >= 0, boxed(text, start, limit) if start >= 0 else None


def boxes(text: str) -> list[str | None]:
    """What each outermost box holds, in order; a None at the end: one that is not closed."""
    found: list[str | None] = []
    position = 0
    while match := _BOX.search(text, position):
        inner = boxed(text, match.start(), len(text))
        found.append(inner)
        if inner is None:
            break
        position = match.end() + len(inner)
    return found


def boxed(text: str, start: int, limit: int) -> str | None:
    """What the box at ``start`` holds: its braces, or else the next word."""
    match = _BOX.match(text, start)
    end = match.end() if match else len(text)
    if text[end : end + 1] == "{":
        return braced(text, end, limit)
    if match:
        words = text[end : end + limit].split(None, 1)
        return words[0].strip("$.,") if words else None
    return None


def braced(text: str, start: int, limit: int) -> str | None:
    """What stands between the brace at ``start`` and its partner, within ``limit`` characters."""
    depth = 0
    escaped = False
    for position in range(start, min(len(text), start + limit + 2)):
        character = text[position]
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return text[start + 1 : position]
    return None


def nesting(answer: str) -> int:
    """Deepest nesting of brackets."""
    depth = deepest = 0
    for character in answer:
        if character in "{[(":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}])":
            depth -= 1
    return deepest
