"""Numbers as they are written, without a parser."""

from __future__ import annotations

import re
from fractions import Fraction

_SEPARATOR = r"(?:,|\{,\}|,\\!|\\[, ]|[ ~\u2009\u202f])"  # of thousands
_SIGNED = re.compile(r"([+-]?)\s*(?:\\\$|\$)?\s*(.+)", re.DOTALL)
_WHOLE = rf"(?:\d{{1,3}}(?:{_SEPARATOR}\d{{3}})+|\d+)"
_DECIMAL = re.compile(
    rf"(?P<whole>{_WHOLE})?(?:\.(?P<part>\d*))?(?:[eE](?P<power>[+-]?\d{{1,3}}))?", re.ASCII
)
_RATIO = re.compile(
    r"(?P<top>\d+)\s*/\s*(?P<bottom>\d+)"
    r"|\\[dtc]?frac\s*\{\s*(?P<sign>-?)\s*(?P<over>\d+)\s*\}\s*\{\s*(?P<under>\d+)\s*\}",
    re.ASCII,
)
_MIXED = re.compile(
    r"(?<![\d.}_^a-zA-Z])(\d{1,9})(?:\s|\\[ ,;:!])*"
    r"(?:\\[dtc]?frac\s*\{\s*(\d{1,9})\s*\}\s*\{\s*(\d{1,9})\s*\}"
    r"|\\[dtc]?frac\s?(\d)\s?(\d)|(?<=[\s ,;:!])(\d{1,9})\s*/\s*(\d{1,9}))(?![\d.!])",
    re.ASCII,
)
_SPACED = re.compile(r"(?<=\d)(?:\\[, ]|[~\u2009\u202f])(?=\d{3}(?!\d))", re.ASCII)
_COLOUR = re.compile(r"\\(?:textcolor|color)\s*\{[a-zA-Z]{1,20}\}")
_SIGNS = "[\u20ac\u00a3\u00a5\u20b9]"  # of currencies, but for $
_CURRENCY = re.compile(rf"^([+-]?)\s*{_SIGNS}\s*(?=\d)|(?<=\d)\s*{_SIGNS}$")
_COMMA = re.compile(r"(?<!\\)[,;]\s*$")
_NOT_DIGITS = re.compile(r"[^0-9]", re.ASCII)
_LONGEST = 400  # characters of a number


def bare(answer: str) -> str:
    """The answer without white space and dollar signs around it."""
    answer = answer.strip()
    while len(answer) > 1 and answer[0] == "$" == answer[-1] and answer[-2] != "\\":
        answer = answer[1:-1].strip()
    return answer


def tidied(answer: str) -> str:
    """The bare answer on one line, without colour, signs of currency, or a comma at its end.

    So is a full stop after a digit. Unicode's minus sign becomes a hyphen.
    """
    answer = " ".join(_COLOUR.sub("", answer).split())
    answer = bare(_COMMA.sub("", answer))
    answer = _CURRENCY.sub(r"\1", answer)
    if answer[-1:] == "." and answer[-2:-1].isdecimal():
        answer = answer[:-1]
    return answer.replace("\u2212", "-")


def as_number(answer: str) -> Fraction | None:
    r"""The number that the whole answer is: 1,234.50, \$12, 1\,000, 3/4, \frac{3}{4}, 2e3.

    None for anything else, and for what has more than 400 characters.
    """
    match = _SIGNED.fullmatch(answer) if 0 < len(answer) <= _LONGEST else None
    if match is None:
        return None
    size = _decimal(match[2])
    if size is None:
        size = _ratio(match[2])
    return None if size is None else -size if match[1] == "-" else size


def _decimal(text: str) -> Fraction | None:
    match = _DECIMAL.fullmatch(text)
    if match is None or not (match["whole"] or match["part"]):
        return None
    whole, part = _NOT_DIGITS.sub("", match["whole"] or ""), match["part"] or ""
    return Fraction(int(whole + part or "0")) * Fraction(10) ** (
        int(match["power"] or 0) - len(part)
    )


def _ratio(text: str) -> Fraction | None:
    match = _RATIO.fullmatch(text)
    if match is None:
        return None
    top, bottom = int(match["top"] or match["over"]), int(match["bottom"] or match["under"])
    if bottom == 0:
        return None
    return Fraction(-top if match["sign"] else top, bottom)


def terminates(number: Fraction) -> bool:
    """Whether it can be written as a decimal with an end."""
    rest = number.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    return rest == 1


def same_number(first: Fraction, second: Fraction) -> bool | None:
    """Whether two numbers are equal; None if one may be the other, rounded."""
    if first == second:
        return True
    return False if terminates(first) == terminates(second) else None


def without_spaces(answer: str) -> str:
    r"""The answer with its digits together: 1\,000.5 is 1000.5."""
    return _SPACED.sub("", answer)


def without_mixed(answer: str) -> str:
    r"""The answer with mixed numbers as fractions: 3\frac{1}{2} and 3 1/2 are \frac{7}{2}."""
    return _MIXED.sub(_improper, answer)


def _improper(match: re.Match[str]) -> str:
    whole, top, bottom = (int(digits) for digits in match.groups() if digits)
    if not 0 < top < bottom:
        return match[0]
    return f"\\frac{{{whole * bottom + top}}}{{{bottom}}}"
