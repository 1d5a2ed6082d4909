"""The reward that needs no parser: the response is the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import check_lengths


@dataclass(frozen=True)
class ExactMatch:
    """1 if the response, stripped of white space, is the answer, else 0. Needs no worker."""

    def __call__(self, prompt: Prompt, text: str) -> float:
        """The reward of one response."""
        return float(text.strip() == prompt.answer)

    def score(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> FloatArray:
        """Rewards (n,) of the responses, in order."""
        check_lengths(prompts, texts)
        return np.array(
            [t.strip() == p.answer for p, t in zip(prompts, texts, strict=True)], dtype=np.float64
        )

    def ideals(self, prompt: Prompt) -> tuple[str, ...]:
        """The answer between white space."""
        return (f" {prompt.answer}\n",)
