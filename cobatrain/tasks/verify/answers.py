"""The final answer that a response states, found by linear string scans: nothing is parsed."""

from __future__ import annotations

import re
from collections import deque
from typing import Literal

from cobatrain.tasks.verify.boxes import last_box
from cobatrain.tasks.verify.numerals import bare
from cobatrain.tasks.verify.prose import after_hashes, stated

_WITH_DIGITS = re.compile(r"[^\s\d]*\d\S*", re.ASCII)
_AROUND = " \t*_`\"'()[]{},.;:!?$="  # a number in a sentence
_MINUS = re.compile(r"[=:]\s*[-\u2212]\s*$")
_TAIL = 4096  # characters at the end in which an answer without a box is looked for

AnswerFrom = Literal["boxed", "marked", "any"]
"""Where the final answer may stand, see `final_answer`."""


def final_answer(text: str, source: AnswerFrom = "marked", limit: int = 1000) -> str | None:
    r"""The final answer that a response states, None if none or longer than `limit` characters.

    "boxed": the last \boxed{...} (or \fbox, or an unbraced \boxed 5). "marked": else what the last
    line states after ``####``; else what the last "answer is", "Answer:" or heading "Final Answer"
    states, see `stated`; else the last $...$ or \(...\) or \[...\]. "any": else the last
    number. The last box counts, finished or not: if it was cut off, an answer before it is not
    taken. Linear in the length of the text.
    """
    has_box, answer = last_box(text, limit)
    if not has_box and source != "boxed":
        tail = text[-_TAIL:]
        answer = after_hashes(tail)
        if answer is None:
            answer = stated(tail) or _formula(tail)
        if answer is None and source == "any":
            answer = _last_number(tail)
    if answer is None:
        return None
    answer = bare(answer)
    return answer if 0 < len(answer) <= limit else None


def first_number(text: str) -> str | None:
    """The first word with digits, without what may stand around a number; None if there is none."""
    first = _WITH_DIGITS.search(text)
    return None if first is None else first[0].strip(_AROUND)


def _last_number(tail: str) -> str | None:
    """The last word with digits, without what may stand around a number; 2^5 and 5kg stay whole."""
    last = deque(_WITH_DIGITS.finditer(tail), maxlen=1)
    if not last:
        return None
    minus = "-" if _MINUS.search(tail, 0, last[0].start()) else ""
    return minus + last[0][0].strip(_AROUND)


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
