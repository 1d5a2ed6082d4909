"""Does a task reward its own reference answers, given in another form?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import passed
from cobatrain.tasks.task import Task
from cobatrain.tasks.wording import counted

SAMPLE = 64
"""Prompts that are checked when a run starts."""

_NAMED = 3  # failures in a sentence


@dataclass(frozen=True)
class SelfCheck:
    """Which prompts' own answers do not pass."""

    checked: int
    skipped: int
    """Without a known right response."""
    failed: tuple[Prompt, ...] = ()

    @property
    def finding(self) -> str:
        """What was found, in a sentence."""
        if not self.checked:
            return "self-check: no right responses are known, so the reward was not checked"
        asked = f"{counted(self.checked, 'reference answer')}, given in another form"
        if self.skipped:
            asked += f" ({self.skipped} more cannot be checked)"
        if not self.failed:
            return f"self-check: {asked}: {'it is' if self.checked == 1 else 'all are'} rewarded"
        named = "; ".join(f"{p.answer[:60]!r} ({p.source})" for p in self.failed[:_NAMED])
        verb = "is" if len(self.failed) == 1 else "are"
        more = ", ..." if len(self.failed) > _NAMED else ""
        return f"self-check: {asked}: {len(self.failed)} {verb} not rewarded: {named}{more}"

    def to_dict(self) -> dict[str, Any]:
        """The same for a file."""
        failed = [{"answer": p.answer, "source": p.source} for p in self.failed]
        return {"checked": self.checked, "skipped": self.skipped, "failed": failed}


def self_check(task: Task, prompts: Sequence[Prompt]) -> SelfCheck:
    """Gives each prompt its reference answer in another form, and reports those that fail.

    Such a prompt may never be passed: its reference cannot be parsed, or its generator gives an
    example that its scorer refuses. Where there are several forms, one that passes is enough.
    """
    judge: Any = getattr(task.reward, "judge", task.reward)
    ideals = getattr(judge, "ideals", lambda prompt: ())
    responses = [tuple(ideals(prompt)) for prompt in prompts]
    owners = [i for i, texts in enumerate(responses) for _ in texts]
    rewards = task.score([prompts[i] for i in owners], list(chain.from_iterable(responses)))
    right = {i for i, fine in zip(owners, passed(rewards), strict=True) if fine}
    known = sorted(set(owners))
    failed = tuple(prompts[i] for i in known if i not in right)
    return SelfCheck(len(known), len(prompts) - len(known), failed)


def sample_check(task: Task) -> SelfCheck:
    """``self_check`` on a sample of all data sets of a task, evenly spaced."""
    sets = [task.train, *task.heldout.values()]
    each = max(SAMPLE // len(sets), 1)
    return self_check(task, [p for prompts in sets for p in _spaced(prompts, each)])


def _spaced(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    step = max(len(prompts) / count, 1.0)
    return [prompts[int(i * step)] for i in range(min(count, len(prompts)))]
