"""What every kind of judge does."""

from __future__ import annotations

from typing import ClassVar, Protocol

from cobatrain.tasks.prompts import Prompt


class Judge(Protocol):
    """How responses of one kind are judged. A frozen dataclass, so that it can be sent."""

    name: ClassVar[str]

    def screen(self, prompt: Prompt, text: str) -> float | str | None:
        """The reward, if cheap string work decides it; else the part that a worker must judge.

        None: the response states no answer, and gets 0.
        """

    def load(self) -> None:
        """Called once in each worker: imports, guards, warm-up. Not under the time limit."""

    def judge(self, prompt: Prompt, answer: str) -> float:
        """The reward of what `screen` left, in a worker, under the limits."""

    def ideals(self, prompt: Prompt) -> tuple[str, ...]:
        """Responses of which one at least should be rewarded; none if no right one is known.

        They state the reference answer in another form where there is one, so that they can fail.
        """
