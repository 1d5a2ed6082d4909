r"""Answers in words: \text{even}, East, no solution. A parser would multiply their letters."""

from __future__ import annotations

import re

_TEXT = r"\\(?:text(?:rm|normal|bf|it|sf|sc)?|math(?:rm|bf|it|sf)|mbox|operatorname)\s*\{([^{}]*)\}"
_WRAPPED = re.compile(_TEXT)
_PHRASE = re.compile(r"[A-Za-z][A-Za-z' -]*")
_COMMAND = re.compile(r"\\(?:begin|end)\s*\{[a-z*]+\}|\\[a-zA-Z]+")
_LETTERS = re.compile(r"[a-z]+")
_RUN = re.compile(r"[A-Za-z]{3,}")
_WORD = re.compile(r"[a-z]{2,}")
_SAID = re.compile(r"(?<![\\a-zA-Z])[A-Za-z]{2,}(?: [A-Za-z]+)*")
_NAMED = re.compile(r"(?:[A-Za-z ]|\\[ ,])+(?<!\s)\s*=")
_MATHEMATICAL = """
sin cos tan sec csc cot sinh cosh tanh arcsin arccos arctan log exp sqrt frac min max gcd lcm floor
ceil abs pct percent percentage infinity inf and
"""
_MEANT = frozenset(_MATHEMATICAL.split())
_LONGEST = 6  # words; more are no answer but an explanation
_CHOICE = re.compile(
    r"(?:\((?P<letter>[A-J])\)|(?P<bare>[A-J])(?:[).:](?= |$)|$))(?P<rest>.*)", re.DOTALL
)
_SHORT = frozenset({"no", "on"})


def as_words(answer: str) -> str | None:
    """The answer in small letters with single spaces, if it is a word or a phrase; else None.

    Letters alone may be a product: bare ones count as words from three on, unless they are in
    alphabetical order (``abc``).
    """
    text, wrapped = _WRAPPED.subn(r"\1", answer)
    words = " ".join(text.replace("~", " ").split()).strip(" .\"'").lower()
    if not _PHRASE.fullmatch(words) or words.count(" ") >= _LONGEST:
        return None
    if wrapped and len(words) > 1:
        return words
    longest = max(words.split(), key=len)
    if words in _SHORT or (len(longest) >= 3 and list(longest) != sorted(longest)):
        return None if longest in _MEANT else words
    return None


def as_choice(answer: str, *, alone: bool = False) -> str | None:
    """The letter of a multiple choice that an answer names, as ``(B) 5`` and ``B. 5`` do.

    ``alone``: if it is nothing but the letter.
    """
    match = _CHOICE.match(" ".join(_WRAPPED.sub(r"\1", answer).split()))
    if match is None or (alone and match["rest"]):
        return None
    return match["letter"] or match["bare"]


def rewrapped(answer: str) -> str:
    r"""The answer with its \text{...} as bare words; without any, its words in \text{...}."""
    bare, wrapped = _WRAPPED.subn(r"\1", answer)
    return bare if wrapped else _SAID.sub(r"\\text{\g<0>}", answer)


def plain_words(answer: str) -> list[str]:
    """The words of two letters or more in an answer, but for LaTeX's and those of mathematics."""
    text = _COMMAND.sub(" ", _WRAPPED.sub(r" \1 ", answer)).lower()
    return [word for word in _WORD.findall(text) if word not in _MEANT]


def speaks(answer: str) -> bool:
    """Whether there are words in it that mean nothing in mathematics, a name before = aside."""
    text = _COMMAND.sub(" ", _WRAPPED.sub(r" \1 ", answer))
    name = _NAMED.match(text.strip())
    if name and "not" not in _LETTERS.findall(name[0].lower()):
        text = text.strip()[name.end() :]
    return any(run.lower() not in _MEANT for run in _RUN.findall(text))
