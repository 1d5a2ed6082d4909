"""Whether an answer equals a reference: what needs no parser here, the rest by math-verify."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib import import_module
from typing import Any

from cobatrain.tasks.verify.bases import Based, as_based
from cobatrain.tasks.verify.boxes import nesting
from cobatrain.tasks.verify.numerals import as_number, same_number, terminates, tidied
from cobatrain.tasks.verify.references import reference
from cobatrain.tasks.verify.spelling import misread, respelled
from cobatrain.tasks.verify.units import without_unit, words_of
from cobatrain.tasks.verify.words import as_choice, as_words, speaks

MAX_DEPTH = 20
"""Deepest nesting of brackets that is parsed."""

_UNKNOWN = re.compile(r"^[a-zA-Z](?:_(?:\w|\{\w+\}))?\s*=\s*")
_DOTS = re.compile(r"\\[lc]?dots|\.\.|\u2026")
_SMALL = Fraction(1, 1000)  # nothing so small is rounded to 6 decimals
_ROUNDED, _EXACT = 6, 12  # decimals that are compared


@dataclass(frozen=True, slots=True)
class Expected:
    """The answer that a reference states."""

    text: str
    measured: str
    """The same without a unit."""
    number: Fraction | None
    words: str | None
    choice: str | None
    based: Based | None


@lru_cache(maxsize=1 << 17)
def expected(answer: str) -> Expected | None:
    """What a reference states; None if it states no answer."""
    try:
        text = tidied(reference(answer))
    except ValueError:
        return None
    measured = tidied(without_unit(text, trusted=True))
    return Expected(
        text=text,
        measured=measured,
        number=as_number(measured),
        words=as_words(text),
        choice=as_choice(text, alone=not text.startswith("(")),
        based=as_based(text),
    )


def answer_key(answer: str) -> str:
    """What two references are compared by: 5, 5.0 and $5$ have the same."""
    gold = expected(answer)
    if gold is None:
        return answer
    return str(gold.number) if gold.number is not None else gold.words or gold.text


def decided(gold: Expected, answer: str, question: str) -> bool | None:
    """Whether a tidy answer is right, where string work tells; None: it must be parsed."""
    if answer == gold.text:
        return True
    based = gold.based or as_based(answer)
    if based is not None:
        return based.is_same(answer if gold.based else gold.measured) or False
    if gold.choice is not None and (choice := as_choice(answer)) is not None:
        return choice == gold.choice
    measured = _measured(answer, question)
    number = as_number(_UNKNOWN.sub("", measured))
    if number is not None and gold.number is not None:
        same = same_number(number, gold.number)
        if same is not None:
            return same
    if _contradicts_itself(measured) or _goes_on(gold, measured):
        return False
    words = as_words(answer)
    if words is not None and gold.words is not None:
        return words == gold.words
    if gold.words is None and (speaks(measured) and not speaks(gold.measured)):
        return False
    if nesting(measured) > MAX_DEPTH or misread(respelled(measured)):
        return False
    return None


def parsed_equal(gold: Expected, answer: str, question: str) -> bool:
    """math-verify's verdict on an answer that ``decided`` left."""
    library: Any = import_module("math_verify")
    measured = _measured(answer, question)
    number = as_number(measured)  # if it is one, it may be the reference rounded
    exact = _ends(gold) if number is None else abs(number) < _SMALL
    equal: bool = library.verify(
        _parsed(gold.measured),
        _parsed(measured),
        float_rounding=_EXACT if exact else _ROUNDED,  # 1/3 is 0.333333, but 5 is not 5.000001
        timeout_seconds=None,
    )
    return bool(equal)


def _goes_on(gold: Expected, answer: str) -> bool:
    """Whether there are dots in it that are not in the reference: math-verify drops them."""
    rounded = gold.number is not None and not _ends(gold)
    return not rounded and bool(_DOTS.search(answer)) and not _DOTS.search(gold.text)


def _ends(gold: Expected) -> bool:
    """Whether a reference is a number with an end."""
    return gold.number is not None and terminates(gold.number)


def _contradicts_itself(answer: str) -> bool:
    """Whether it says that two different numbers are equal, as ``10 = 8`` does."""
    numbers = {as_number(tidied(side)) for side in answer.split("=")} - {None}
    return len(numbers) > 1


def _measured(answer: str, question: str) -> str:
    """The answer without a unit."""
    return tidied(without_unit(answer, _words_of(question)))


_words_of = lru_cache(maxsize=1 << 12)(words_of)


def _parsed(answer: str) -> list[Any]:
    library: Any = import_module("math_verify")
    extraction = library.LatexExtractionConfig(
        try_extract_without_anchor=False,  # else any fraction in what cannot be parsed is taken
        boxed_match_priority=0,
        normalization_config=_normalization(),
    )
    parsed: list[Any] = library.parse(
        "\\boxed{" + respelled(answer) + "}",
        extraction_config=[extraction],
        extraction_mode="first_match",
        parsing_timeout=None,
    )
    return parsed


def _normalization() -> Any:
    """math-verify's own, but for units: it drops letters such as the t of 5t."""
    module: Any = import_module("latex2sympy2_extended.math_normalization")
    return module.NormalizationConfig(
        basic_latex=True,
        units=False,
        malformed_operators=True,
        nits=True,
        boxed="all",
        equations=False,
    )
