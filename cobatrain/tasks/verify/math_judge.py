"""Mathematical equality with the reference answer, by math-verify."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.verify.answers import AnswerFrom, final_answer
from cobatrain.tasks.verify.equality import Expected, decided, expected, parsed_equal
from cobatrain.tasks.verify.guards import guard_sympy
from cobatrain.tasks.verify.mending import mend_products
from cobatrain.tasks.verify.numerals import tidied
from cobatrain.tasks.verify.other_forms import other_forms
from cobatrain.tasks.verify.patterns import SEARCHED, last_match
from cobatrain.tasks.verify.references import MAX_CHARS


@dataclass(frozen=True)
class MathJudge:
    """Mathematical equality with the reference answer, by math-verify's LaTeX parser.

    The reference is questioned first (`reference`): one that states no answer is never met.

    Departures from math-verify's defaults: the answer is found by `final_answer`; only the LaTeX
    extractor is used, since the one for plain expressions hands the model's text to sympy's
    parse_expr, which evaluates it as Python; in the worker parse_expr itself is replaced by
    `parse_expression`, since sympy calls it for every number. Numbers, words and bases are compared
    without the parser (`decided`), and answers are respelled before it (`respelled`).
    math-verify's own time limit is off: it uses signal.alarm, which raises outside the main thread
    and cannot interrupt a C call.
    """

    name: ClassVar[str] = "math-verify"
    answer_from: AnswerFrom = "marked"
    answer_pattern: str | None = None
    """A regular expression with one group, which is the answer; in place of `answer_from`."""
    max_chars: int = MAX_CHARS
    """Longer answers get 0 unread."""

    def screen(self, prompt: Prompt, text: str) -> float | str | None:
        """Decides missing, too long or too deep answers, numbers and words."""
        if self.answer_pattern is not None:  # which may be slow: not in this process
            return text[-SEARCHED:] or None
        answer = final_answer(text, self.answer_from, self.max_chars)
        if answer is None:
            return None
        answer = tidied(answer)
        reward = self._at_once(expected(prompt.answer), answer, prompt.text)
        return answer if reward is None else reward

    def _at_once(self, gold: Expected | None, answer: str, question: str) -> float | None:
        """The reward where no parser is needed for it."""
        if gold is None or len(answer) > self.max_chars:
            return 0.0
        right = decided(gold, answer, question)
        return None if right is None else float(right)

    def load(self) -> None:
        """Imports math-verify behind the guards and parses once, since first use is slow."""
        guard_sympy()
        mend_products()
        for library in ("math_verify", "latex2sympy2_extended"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        import_module("sympy.physics.units")  # sympy loads it when it first compares
        gold = expected(r"\frac{1}{2}+\sqrt{x}")
        assert gold is not None
        parsed_equal(gold, r"x^{1/2} + 0.5", "")

    def judge(self, prompt: Prompt, answer: str) -> float:
        """Parses both answers and compares them."""
        gold = expected(prompt.answer)
        if self.answer_pattern is not None:
            answer = tidied(last_match(self.answer_pattern, answer) or "")
            reward = self._at_once(gold, answer, prompt.text) if answer else 0.0
            if reward is not None:
                return reward
        return 0.0 if gold is None else float(parsed_equal(gold, answer, prompt.text))

    def ideals(self, prompt: Prompt) -> tuple[str, ...]:
        """Responses that state the reference answer in another form.

        For a pattern of the user's, those that it matches, also with the answer as it is; none if
        it asks for words that nobody knows.
        """
        forms = other_forms(prompt.answer)
        if self.answer_pattern is None:
            return tuple(f"\\boxed{{{form}}}" for form in forms)
        texts = [way.format(form) for form in (*forms, prompt.answer) for way in _WAYS]
        return tuple(text for text in texts if last_match(self.answer_pattern, text[:_SHORT]))


_SHORT = 200  # characters of a response that is matched in this process

_WAYS = (
    "\\boxed{{{}}}",
    "The answer is {}.",
    "Answer: {}",
    "#### {}",
    "<answer>{}</answer>",
    "The final answer is ${}$.",
    "**{}**",
    "{}",
)
"""How answers are given; one of them should suit a pattern of the user's."""
