"""The verdict of a reasoning-gym generator on its own question."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.verify.guards import guard_reasoning_gym, guard_sympy


@dataclass(frozen=True)
class GymJudge:
    """reasoning-gym's own `score_answer`: 1 where its score reaches the threshold, else 0.

    A prompt's metadata holds its "entry" and the index of its "generator" in `sources`.
    """

    name: ClassVar[str] = "reasoning-gym"
    sources: tuple[tuple[str, str], ...]
    """(generator, its config as JSON)."""
    threshold: float = 1.0
    tagged: bool = True
    """The answer is what the last <answer>...</answer> holds; else it is the whole text."""
    max_chars: int = 20_000
    """Longer answers get 0 unread."""

    def screen(self, prompt: Prompt, text: str) -> float | str | None:
        """Decides missing and too long answers."""
        answer = text.strip()
        if self.tagged:
            end = text.rfind("</answer>")
            start = text.rfind("<answer>", 0, end) if end >= 0 else -1
            if start < 0:
                return None
            answer = text[start + len("<answer>") : end].strip()
        return answer if 0 < len(answer) <= self.max_chars else 0.0

    def load(self) -> None:
        """Imports reasoning-gym behind the guards and builds each generator."""
        guard_sympy()
        library: Any = import_module("reasoning_gym")
        generators = [library.create_dataset(name, **json.loads(c)) for name, c in self.sources]
        guard_reasoning_gym()
        _GENERATORS[self] = generators

    def judge(self, prompt: Prompt, answer: str) -> float:
        """The generator's verdict."""
        generator = _GENERATORS[self][prompt.metadata["generator"]]
        score = float(generator.score_answer(answer, prompt.metadata["entry"]))
        return float(score >= self.threshold - 1e-9)

    def ideals(self, prompt: Prompt) -> tuple[str, ...]:
        """The tagged reference answer, which the scorer judges; none if the generator has none."""
        if not prompt.answer:
            return ()
        return (f"<answer>\n{prompt.answer}\n</answer>" if self.tagged else prompt.answer,)


_GENERATORS: dict[GymJudge, list[Any]] = {}  # filled by `load`, in workers only
