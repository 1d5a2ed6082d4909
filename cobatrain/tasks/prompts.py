"""A prompt: one question with its reference answer, and when two questions are the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Prompt:
    """One question with its reference answer."""

    text: str
    """What is asked, before any chat template."""
    answer: str
    """The reference answer; "" only where a generator has no single one (its verifier decides)."""
    level: str
    """Difficulty level, the key under which accuracies are reported."""
    source: str
    """Where it came from: a level, a generator, or a file with its line or row number."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What else the verifier or the template needs. "key", if present, is the `text_key` of the
    problem without instructions; "system" the system message, and "turns" the (role, text) of the
    turns of a chat before the text. Only the last two are shown to the model. "columns" are the
    columns of its row that a reward function of the user's takes."""

    @property
    def shown(self) -> str:
        """All that the model is shown, as one text: prompts that differ in it differ in tokens."""
        system, turns = self.metadata.get("system", ""), self.metadata.get("turns", ())
        if not system and not turns:
            return self.text
        return "\x00".join([system, *(f"{role}\x00{text}" for role, text in turns), self.text])


def levels_of(prompts: Iterable[Prompt]) -> dict[str, int]:
    """Number of prompts per level, in order of first appearance."""
    counts: dict[str, int] = {}
    for prompt in prompts:
        counts[prompt.level] = counts.get(prompt.level, 0) + 1
    return counts


# The frame around every problem of DAPO-Math-17K as published (arXiv 2503.14476).
_DAPO_BEFORE = "Solve the following math problem step by step."
_DAPO_BEFORE_END = "is the answer to the problem."
_DAPO_AFTER = 'Remember to put your answer on its own line after "Answer:".'


def text_key(text: str) -> str:
    """What two texts are compared by: Unicode NFKC, white space collapsed, DAPO's frame removed.

    So a problem is recognised with other line breaks or without DAPO-Math-17K's instructions.
    A paraphrase is not.
    """
    key = " ".join(unicodedata.normalize("NFKC", text).split())
    if key.startswith(_DAPO_BEFORE) and _DAPO_BEFORE_END in key:
        key = key.split(_DAPO_BEFORE_END, 1)[1].removesuffix(_DAPO_AFTER).strip()
    return key


def prompt_key(prompt: Prompt) -> str:
    """The `text_key` of a prompt's problem, without instructions where the prompt knows it."""
    return prompt.metadata.get("key") or text_key(prompt.text)
