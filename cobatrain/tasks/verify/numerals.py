"""Numbers as they are written, without a parser."""

from __future__ import annotations

import re

_SEPARATOR = r"(?:,|\{,\}|,\\!|\\[, ]|[ ~\u2009\u202f])"  # of thousands
_INTEGER = re.compile(rf"[+-]?\d{{1,3}}(?:{_SEPARATOR}\d{{3}})+|[+-]?\d+", re.ASCII)
_SPACED = re.compile(r"(?<=\d)(?:\\[, ]|[~\u2009\u202f])(?=\d{3}(?!\d))", re.ASCII)
_NOT_DIGITS = re.compile(r"[^0-9+-]", re.ASCII)


def bare(answer: str) -> str:
    """The answer without white space and dollar signs around it."""
    answer = answer.strip()
    while len(answer) > 1 and answer[0] == "$" == answer[-1] and answer[-2] != "\\":
        answer = answer[1:-1].strip()
    return answer


def tidied(answer: str) -> str:
    """The bare answer without a full stop after a digit; Unicode's minus sign is a hyphen."""
    answer = bare(answer)
    if answer[-1:] == "." and answer[-2:-1].isdecimal():
        answer = answer[:-1]
    return answer.replace("\u2212", "-")


def as_integer(answer: str) -> int | None:
    """The integer that the whole answer is, thousands separators allowed, else None."""
    if len(answer) > 400 or _INTEGER.fullmatch(answer) is None:
        return None
    return int(_NOT_DIGITS.sub("", answer))


def without_spaces(answer: str) -> str:
    r"""The answer with its digits together: 1\,000.5 is 1000.5."""
    return _SPACED.sub("", answer)
