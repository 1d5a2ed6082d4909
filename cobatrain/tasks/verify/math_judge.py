"""Mathematical equality with the reference answer, by math-verify."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.verify.answers import AnswerFrom, as_integer, bare, final_answer, nesting
from cobatrain.tasks.verify.guards import guard_sympy


@dataclass(frozen=True)
class MathJudge:
    """Mathematical equality with the reference answer, by math-verify's LaTeX parser.

    Departures from math-verify's defaults: the answer is found by `final_answer`; only the LaTeX
    extractor is used, since the one for plain expressions hands the model's text to sympy's
    parse_expr, which evaluates it as Python; in the worker parse_expr itself is replaced by
    `parse_expression`, since sympy calls it for every number. Integers are compared as integers,
    without the parser. math-verify's own time limit is off: it uses signal.alarm, which raises
    outside the main thread and cannot interrupt a C call.
    """

    name: ClassVar[str] = "math-verify"
    answer_from: AnswerFrom = "marked"
    max_chars: int = 1000
    """Longer answers get 0 unread."""
    max_depth: int = 20
    """Answers with more nested brackets get 0 unread."""

    def screen(self, prompt: Prompt, text: str) -> float | str:
        """Decides missing, too long or too deep answers, equal strings and integers."""
        answer = final_answer(text, self.answer_from, self.max_chars)
        if answer is None:
            return 0.0
        gold = bare(prompt.answer)
        if answer == gold:
            return 1.0
        number, expected = as_integer(answer), as_integer(gold)
        if number is not None and expected is not None:
            return float(number == expected)
        if nesting(answer) > self.max_depth:
            return 0.0
        return answer

    def load(self) -> None:
        """Imports math-verify behind the guards and parses once, since first use is slow."""
        guard_sympy()
        import logging

        logging.getLogger("math_verify").setLevel(logging.CRITICAL)
        logging.getLogger("latex2sympy2_extended").setLevel(logging.CRITICAL)
        import_module("sympy.physics.units")  # sympy loads it when it first compares
        gold = r"\frac{1}{2}+\sqrt{x}"
        self.judge(Prompt("", gold, "", ""), r"x^{1/2} + 0.5")

    def _parsed(self, answer: str) -> list[Any]:
        library: Any = import_module("math_verify")
        answer = answer.replace("**", "^").replace("\\text{ and }", ",")
        parsed: list[Any] = library.parse(
            "\\boxed{" + answer + "}",
            extraction_config=[library.LatexExtractionConfig(boxed_match_priority=0)],
            parsing_timeout=None,
        )
        return parsed

    def judge(self, prompt: Prompt, answer: str) -> float:
        """Parses both answers and compares them."""
        library: Any = import_module("math_verify")
        gold, given = self._parsed(bare(prompt.answer)), self._parsed(answer)
        return float(bool(library.verify(gold, given, timeout_seconds=None)))

    def ideal(self, prompt: Prompt) -> str | None:
        """The boxed answer."""
        return "\\boxed{" + bare(prompt.answer) + "}"
