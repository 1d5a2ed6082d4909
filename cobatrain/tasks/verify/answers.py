"""The final answer that a response states, found by linear string scans: nothing is parsed."""

from __future__ import annotations

import re
from typing import Literal

_BOX = re.compile(r"\\(?:boxed|fbox)\s*")
_MARKED = re.compile(r"answer[*_]{0,3} ?(?:is ?:?|[:=])", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d{1,3}(?:(?:,|\{,\}|,\\!)\d{3})+|[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[^0-9+-]", re.ASCII)
_TAIL = 4096  # characters at the end in which an answer without a box is looked for

AnswerFrom = Literal["boxed", "marked", "any"]
"""Where the final answer may stand, see `final_answer`."""


def final_answer(text: str, source: AnswerFrom = "marked", limit: int = 1000) -> str | None:
    r"""The final answer that a response states, None if none or longer than `limit` characters.

    "boxed": the last \boxed{...} (or \fbox, or an unbraced \boxed 5). "marked": else what follows
    the last "answer is" or "Answer:" on its line, else the last $...$ or \(...\) or \[...\].
    "any": else the last number. The last box counts, finished or not: if it was cut off, an answer
    before it is not taken. Linear in the length of the text.
    """
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    answer: str | None = None
    if start >= 0:
        answer = _boxed(text, start, limit)
    elif source != "boxed":
        tail = text[-_TAIL:]
        answer = _marked(tail) or _formula(tail)
        if answer is None and source == "any":
            numbers = _NUMBER.findall(tail)
            answer = numbers[-1].rstrip(",") if numbers else None
    if answer is None:
        return None
    answer = bare(answer)
    return answer if 0 < len(answer) <= limit else None


def _boxed(text: str, start: int, limit: int) -> str | None:
    """What the box at `start` holds: its braces, or else the next word."""
    match = _BOX.match(text, start)
    end = match.end() if match else len(text)
    if text[end : end + 1] == "{":
        return _braced(text, end, limit)
    if match:
        words = text[end : end + limit].split(None, 1)
        return words[0].strip("$.,") if words else None
    return None


def _braced(text: str, start: int, limit: int) -> str | None:
    """What stands between the brace at `start` and its partner, if within `limit` characters."""
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


def _marked(tail: str) -> str | None:
    """What follows the last answer mark on its line."""
    marks = list(_MARKED.finditer(tail))
    if not marks:
        return None
    line = tail[marks[-1].end() :].lstrip(" *_").split("\n", 1)[0].strip().strip("*_").strip()
    if line[:1] == "$" and "$" in line[1:]:  # "$5$, since ..."
        return line.lstrip("$").split("$", 1)[0]
    return line.removesuffix(".") or None


def _formula(tail: str) -> str | None:
    """The last formula between $, \\( \\) or \\[ \\]."""
    last: tuple[int, str] | None = None
    for opening, closing in (("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        end = tail.rfind(closing)
        start = tail.rfind(opening, 0, end) if end > 0 else -1
        if start >= 0 and (last is None or end > last[0]):
            inner = tail[start + len(opening) : end]
            if not inner and opening == "$":  # $$ ... $$
                end = start
                start = tail.rfind("$", 0, end)
                inner = tail[start + 1 : end] if start >= 0 else ""
            last = (end, inner)
    return last[1] if last and last[1].strip() else None


def bare(answer: str) -> str:
    """The answer without white space and dollar signs around it."""
    answer = answer.strip()
    while len(answer) > 1 and answer[0] == "$" == answer[-1] and answer[-2] != "\\":
        answer = answer[1:-1].strip()
    return answer


def as_integer(answer: str) -> int | None:
    """The integer that the whole answer is, thousands separators allowed, else None."""
    if len(answer) > 400 or _INTEGER.fullmatch(answer) is None:
        return None
    return int(_THOUSANDS.sub("", answer))


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
