"""The reward for a number in a sentence, which needs no parser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import check_lengths
from cobatrain.tasks.verify.answers import final_answer, first_number
from cobatrain.tasks.verify.equality import decided, expected
from cobatrain.tasks.verify.numerals import tidied


@dataclass(frozen=True)
class NumberMatch:
    """1 if the number that a response gives is the answer, else 0. Needs no worker.

    The answer is found by ``final_answer`` with "any", so the last number counts where nothing is
    marked as the answer. Of a prompt that names the numbers to choose from (metadata "choice") the
    first one counts: "82 is larger than 38" chooses 82. What string work cannot tell to be equal
    gets 0: `7+7` is not 14.
    """

    def __call__(self, prompt: Prompt, text: str) -> float:
        """The reward of one response."""
        gold = expected(prompt.answer)
        choice = prompt.metadata.get("choice", False)
        answer = first_number(text) if choice else final_answer(text, "any")
        if gold is None or answer is None:
            return 0.0
        return float(decided(gold, tidied(answer), prompt.text) is True)

    def score(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> FloatArray:
        """Rewards (n,) of the responses, in order."""
        check_lengths(prompts, texts)
        return np.array([self(p, t) for p, t in zip(prompts, texts, strict=True)], dtype=np.float64)

    def ideals(self, prompt: Prompt) -> tuple[str, ...]:
        """The answer in a sentence."""
        return (f"The answer is {prompt.answer}.",)
