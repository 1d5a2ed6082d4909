"""Prose in place of a final answer: "She has 3 apples and so it is 12".

No response is ever equal to such a reference, so its prompt would get reward 0 for ever.
"""

from __future__ import annotations

import re

from cobatrain.tasks.verify.words import as_words, plain_words

_LONGEST = 6  # words of an answer; more are an explanation
_LISTED = 2  # words of an item, where answers are a list: red, dark blue, green
_ITEMS = re.compile(r"[,;]|\band\b|\bor\b")
_DIGIT = re.compile(r"\d")
_CLAUSE = re.compile(
    r"(?<![\\$a-zA-Z])[a-zA-Z]{2,},? (?:is|are|was|were|has|have|had|gets?|gives?|makes?|costs?"
    r"|needs?|equals?|will|would|must)\b",
    re.IGNORECASE,
)
_CONNECTIVE = re.compile(
    r"(?<![\\{$a-zA-Z])(?:so|therefore|thus|hence|because|since)[ ,]", re.IGNORECASE
)


def check_final(answer: str) -> None:
    """Raise ValueError for an answer that is prose: a sentence, or more than 6 words in no list."""
    if is_prose(answer):
        raise ValueError('not a final answer: prose without \\boxed, #### or "answer is"')


def is_prose(answer: str) -> bool:
    """Whether an answer is a text that argues or tells, rather than a value, a phrase or a list."""
    if as_words(answer) is not None:
        return False
    items = [len(plain_words(item)) for item in _ITEMS.split(answer)]
    if sum(items) > _LONGEST and max(items) > _LISTED:
        return True
    tells = _CLAUSE.search(answer) or _CONNECTIVE.search(answer)
    return bool(tells and _DIGIT.search(answer))
