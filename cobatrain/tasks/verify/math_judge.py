"""Mathematical equality with the reference answer, by math-verify."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, ClassVar

from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.verify.answers import AnswerFrom, final_answer
from cobatrain.tasks.verify.boxes import nesting
from cobatrain.tasks.verify.guards import guard_sympy
from cobatrain.tasks.verify.numerals import as_integer, bare, tidied, without_spaces
from cobatrain.tasks.verify.patterns import SEARCHED, last_match
from cobatrain.tasks.verify.references import MAX_CHARS, reference


@dataclass(frozen=True)
class MathJudge:
    """Mathematical equality with the reference answer, by math-verify's LaTeX parser.

    The reference is questioned first (`reference`): one that states no answer is never met.

    Departures from math-verify's defaults: the answer is found by `final_answer`; only the LaTeX
    extractor is used, since the one for plain expressions hands the model's text to sympy's
    parse_expr, which evaluates it as Python; in the worker parse_expr itself is replaced by
    `parse_expression`, since sympy calls it for every number. Integers are compared as integers,
    without the parser. math-verify's own time limit is off: it uses signal.alarm, which raises
    outside the main thread and cannot interrupt a C call.
    """

    name: ClassVar[str] = "math-verify"
    answer_from: AnswerFrom = "marked"
    answer_pattern: str | None = None
    """A regular expression with one group, which is the answer; in place of `answer_from`."""
    max_chars: int = MAX_CHARS
    """Longer answers get 0 unread."""
    max_depth: int = 20
    """Answers with more nested brackets get 0 unread."""

    def screen(self, prompt: Prompt, text: str) -> float | str | None:
        """Decides missing, too long or too deep answers, equal strings and integers."""
        if self.answer_pattern is not None:  # which may be slow: not in this process
            return text[-SEARCHED:] or None
        answer = final_answer(text, self.answer_from, self.max_chars)
        if answer is None:
            return None
        answer = tidied(answer)
        reward = self._at_once(_expected(prompt.answer), answer)
        return answer if reward is None else reward

    def _at_once(self, expected: _Expected | None, answer: str) -> float | None:
        """The reward where no parser is needed for it."""
        if expected is None or len(answer) > self.max_chars:
            return 0.0
        if answer == expected.text:
            return 1.0
        if expected.integer is not None:
            number = as_integer(answer)
            if number is not None:
                return float(number == expected.integer)
        return 0.0 if nesting(answer) > self.max_depth else None

    def load(self) -> None:
        """Imports math-verify behind the guards and parses once, since first use is slow."""
        guard_sympy()
        import logging

        logging.getLogger("math_verify").setLevel(logging.CRITICAL)
        logging.getLogger("latex2sympy2_extended").setLevel(logging.CRITICAL)
        import_module("sympy.physics.units")  # sympy loads it when it first compares
        _compared(r"\frac{1}{2}+\sqrt{x}", r"x^{1/2} + 0.5")

    def judge(self, prompt: Prompt, answer: str) -> float:
        """Parses both answers and compares them."""
        expected = _expected(prompt.answer)
        if self.answer_pattern is not None:
            answer = tidied(last_match(self.answer_pattern, answer) or "")
            reward = self._at_once(expected, answer) if answer else 0.0
            if reward is not None:
                return reward
        return 0.0 if expected is None else _compared(expected.text, answer)

    def ideal(self, prompt: Prompt) -> str | None:
        """The boxed answer."""
        return "\\boxed{" + bare(prompt.answer) + "}"


@dataclass(frozen=True, slots=True)
class _Expected:
    """The answer that a reference states."""

    text: str
    integer: int | None


@lru_cache(maxsize=1 << 17)
def _expected(answer: str) -> _Expected | None:
    """What a reference states; None if it states no answer."""
    try:
        text = tidied(reference(answer))
    except ValueError:
        return None
    return _Expected(text, as_integer(text))


def _compared(gold: str, given: str) -> float:
    """math-verify's verdict."""
    library: Any = import_module("math_verify")
    return float(bool(library.verify(_parsed(gold), _parsed(given), timeout_seconds=None)))


def _parsed(answer: str) -> list[Any]:
    library: Any = import_module("math_verify")
    answer = without_spaces(answer).replace("**", "^").replace("\\text{ and }", ",")
    parsed: list[Any] = library.parse(
        "\\boxed{" + answer + "}",
        extraction_config=[library.LatexExtractionConfig(boxed_match_priority=0)],
        parsing_timeout=None,
    )
    return parsed
