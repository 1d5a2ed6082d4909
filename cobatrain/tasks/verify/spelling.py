"""Answers respelled before math-verify reads them, where its parser would misread or refuse them.

Both the reference and the answer are respelled. Version 0.9.0 of math-verify is meant.
"""

from __future__ import annotations

import re

from cobatrain.tasks.verify.numerals import without_mixed, without_spaces

_LITERAL = {
    "**": "^",
    "\\text{ and }": ",",
    "\\varnothing": "\\emptyset",
    "\u00b0": "^\\circ",
    "\u2264": "\\leq ",
    "\u2265": "\\geq ",
    "\u00d7": "\\times ",
    "\u221a": "\\sqrt ",
    "\u221e": "\\infty ",
    "\u03c0": "\\pi ",
}
_PERCENT = re.compile(r"(?:\s|\\[ ,])*\\(?:text|mathrm)\s*\{\s*(?:percent|pct)\s*\}")
_IMAGINARY = re.compile(r"(?<=\d)i(?![a-zA-Z])")  # 4i is not seen to be complex, 4 i is
_HALF = re.compile(r"\^\s*(?:\{\s*0?\.5\s*\}|0?\.5(?!\d))")
_FRACTION = re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)(?!\d)")
_SCIENTIFIC = re.compile(r"([+-]?\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})", re.ASCII)
_LONG_ROOT = re.compile(r"\\sqrt\s*(\d{2,})(?![\d.])")  # \sqrt12 is read as \sqrt{1}2
_ROOT = re.compile(r"(?<![\\a-zA-Z])sqrt\s*\(([^()]*)\)")  # after a space it is written \\sqrt
_TRIGONOMETRIC = re.compile(
    r"(\\(?:sin|cos|tan|sec|csc|cot)\s*(?:\^\s*(?:\d|\{\d\})\s*)?(?:\\left\s*)?[({]?\s*)"
    r"(-?\d{1,9}(?:\.\d{1,9})?)\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ)"
)  # math-verify drops the degree sign, and takes radians
_HEXADECIMAL = re.compile(r"0[xXbBoO][0-9a-fA-F]")
_SUBSCRIPTED = re.compile(r"\d\s*_")
_UNBRACED = re.compile(r"\\[dtc]?frac\s*\d\s*\d\d")
_PRIMED = re.compile(r"\d\s*['\u2019\u2032]\s*\d(?!\d\d(?!\d))")
_SIDE_BY_SIDE = re.compile(r"\d(?:\s|\\[ ,;:!])+\.?\d")


def respelled(answer: str) -> str:
    """The answer as math-verify reads it rightly."""
    scientific = _SCIENTIFIC.fullmatch(answer)
    if scientific:
        return f"{scientific[1]} \\times 10^{{{scientific[2]}}}"
    for written, meant in _LITERAL.items():
        answer = answer.replace(written, meant)
    answer = _FRACTION.sub(r"\\frac{\1}{\2}", answer)
    answer = _LONG_ROOT.sub(r"\\sqrt{\1}", answer)
    answer = without_mixed(without_spaces(answer))
    answer = _PERCENT.sub(r"\\%", answer)
    answer = _HALF.sub("^{1/2}", answer)
    answer = _IMAGINARY.sub(" i", answer)
    answer = _ROOT.sub(r"\\sqrt{\1}", answer)
    return _TRIGONOMETRIC.sub(r"\1{\\frac{\2 \\pi}{180}}", answer)


def misread(answer: str) -> bool:
    """Whether math-verify would read a respelled answer as another one.

    It adds numbers side by side (``7 3`` is 10), drops what follows _ after a number (``1_000`` is
    1), multiplies the characters of ``0x49``, and joins the digits of ``5'3``.
    """
    return any(
        pattern.search(answer) is not None
        for pattern in (_HEXADECIMAL, _SUBSCRIPTED, _UNBRACED, _PRIMED, _SIDE_BY_SIDE)
    )
