"""Does a task reward its own reference answers?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import passed
from cobatrain.tasks.task import Task


@dataclass(frozen=True)
class SelfCheck:
    """Which prompts' own answers do not pass."""

    checked: int
    skipped: int
    """Without a known right response."""
    failed: tuple[Prompt, ...] = ()


def self_check(task: Task, prompts: Sequence[Prompt]) -> SelfCheck:
    """Gives each prompt its own reference answer, as a model would, and reports those that fail.

    Such a prompt can never be passed: its reference cannot be parsed, or its generator gives an
    example that its scorer refuses.
    """
    judge: Any = getattr(task.reward, "judge", task.reward)
    ideal = getattr(judge, "ideal", lambda prompt: None)
    pairs = [(p, ideal(p)) for p in prompts]
    known = [(p, text) for p, text in pairs if text is not None]
    rewards = task.score([p for p, _ in known], [text for _, text in known])
    failed = tuple(p for (p, _), right in zip(known, passed(rewards), strict=True) if not right)
    return SelfCheck(len(known), len(pairs) - len(known), failed)
