"""Reference answers, questioned before they are trusted: what a data set's answer states.

A reference that cannot be met gives reward 0 for ever without a word. So the answer is cut out of
worked solutions, lists and boxes, and what is no answer is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from cobatrain.tasks.verify.boxes import boxes
from cobatrain.tasks.verify.numerals import as_number, tidied
from cobatrain.tasks.verify.prose import statements

MAX_CHARS = 1000
"""A longer answer is not judged, and a longer reference is refused."""

PLACEHOLDERS = frozenset(
    {"proof", "notfound", "not found", "n/a", "na", "nan", "null", "none", "unknown", "no answer"}
    | {"-", "?", "..."}
)
"""What data sets write where there is no answer to check, in small letters."""

_SENTENCE = 4096  # characters at the end in which a sentence is looked for
_FINAL = "####"  # GSM8K writes the answer after it
_QUOTED = re.compile(r"""\[\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')\s*,?\s*\]""")
_NUMBERED = re.compile(r"\[\s*(?P<number>[+-]?\d+(?:\.\d+)?)\s*,?\s*\]", re.ASCII)
_ESCAPED = re.compile(r"(?<!\\)\\[bfnrt]")
_WRAPPED = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}")


def answer_text(value: Any) -> str:
    """A reference answer as text: 142.0 is "142", a list is joined by commas.

    Raises ValueError if the answer is empty, or not a string, number or list of these.
    """
    if isinstance(value, list):
        return _joined(answer_text(item) for item in value)
    if isinstance(value, bool) or value is None:
        raise ValueError("empty answer" if value is None else "the answer is true or false")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"the answer is {value}")
        return str(int(value)) if value == int(value) else repr(value)
    if not isinstance(value, str):
        raise ValueError(f"the answer is a {type(value).__name__}, expected text or a number")
    text = value.strip()
    if not any(character.isprintable() and character not in "$ " for character in text):
        raise ValueError("empty answer")
    return text


def reference(value: Any) -> str:
    r"""The answer that a reference states; most state nothing else and come back as they are.

    Text is cut after the last ``####`` (unless a box follows), taken out of a list of one element
    (``["1,234"]``; several in quotes are joined by commas), out of a \boxed{...} and out of a
    sentence such as "The answer is 5.".

    Raises ValueError, with the reason, for what ``answer_text`` refuses, for PLACEHOLDERS, for
    several boxes or statements that differ, and for what is longer than MAX_CHARS.
    """
    if isinstance(value, list):
        return _joined(reference(item) for item in value)
    text = answer_text(value)
    while True:
        cut = _unsaid(_unboxed(_unlisted(_after_marks(text))))
        if cut == text:
            break
        text = answer_text(cut)
    if _plain(text) in PLACEHOLDERS:
        raise ValueError(f"the answer is {text!r}")
    if len(text) > MAX_CHARS:
        raise ValueError(f"the answer is longer than {MAX_CHARS} characters")
    return text


def _joined(answers: Iterable[str]) -> str:
    """Several answers as one. Raises ValueError if there is none."""
    text = ", ".join(answers)
    if not text:
        raise ValueError("empty answer")
    return text


def _after_marks(text: str) -> str:
    """The first line after the last ``####``, unless a box follows."""
    if text.rfind(_FINAL) <= text.rfind("\\boxed"):
        return text
    rest = text.rsplit(_FINAL, 1)[1].strip()
    return rest.split("\n", 1)[0].strip()


def _unlisted(text: str) -> str:
    """What a list in a text holds: one element, or several. Raises ValueError for an object."""
    if text[:1] == "{" and _is_object(text):
        raise ValueError("the answer is a JSON object, expected text or a number")
    if text[:1] != "[" or text[-1:] != "]":
        return text
    match = _NUMBERED.fullmatch(text)
    if match:
        return match["number"]
    match = _QUOTED.fullmatch(text)
    raw = (match["double"] or match["single"] or "") if match else None
    if match and match["double"] is None:
        return raw or ""
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):  # also backslashes of LaTeX that JSON does not know
        return text if raw is None else raw
    if not any(isinstance(item, str | list) for item in items):  # an interval
        return text
    if _ESCAPED.search(text):  # "\frac" was not meant as a form feed
        return text if raw is None else raw
    return answer_text(items)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _unboxed(text: str) -> str:
    """What the box of a text holds; the text itself without one. Raises ValueError."""
    contents = boxes(text)
    if not contents:
        return text
    if None in contents:
        raise ValueError("the box of the answer is not closed")
    held = list(dict.fromkeys(box.strip() for box in contents if box is not None))
    if len(held) > 1:
        shown = ", ".join(held)[:60]
        raise ValueError(f"the answer has {len(held)} boxes that differ: {shown}")
    return held[0]


def _unsaid(text: str) -> str:
    """The answer that sentences state; the text itself if they state none. Raises ValueError."""
    answers: dict[Fraction | str, str] = {}
    for answer in statements(text[-_SENTENCE:]):
        number = as_number(tidied(answer))
        answers[answer if number is None else number] = answer
    if len(answers) > 1:
        shown = ", ".join(answers.values())[:60]
        raise ValueError(f"not a final answer: it states {len(answers)} that differ: {shown}")
    return next(iter(answers.values()), text)


def _plain(text: str) -> str:
    """Words without LaTeX around them, in small letters."""
    words = _WRAPPED.sub(r"\1", text).strip(" $").lower()
    return words.rstrip(".") or words
