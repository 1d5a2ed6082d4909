"""A task: prompts to train on, held-out prompts that are not among them, and a reward."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import Field

from cobasim.arrays import BoolArray, FloatArray
from cobasim.errors import InputError
from cobasim.settings import Frozen
from cobatrain.tasks.accounts import DataSet, LeftOut
from cobatrain.tasks.prompts import Prompt, prompt_key
from cobatrain.tasks.rewards import RewardFunction, check_lengths, checked_reward

ErrorOrSkip = Literal["error", "skip"]
"""What to do with prompts that cannot be used: stop before training, or leave them out."""

Unfinished = Literal["judge", "fail"]
"""What a response is worth that ``sampling.max_tokens`` cut off: what the reward says of its text,
or at most 0, so that it never passes by an answer that it mentions on its way."""


class TaskSettings(Frozen):
    """What the settings of all kinds of tasks share."""

    overlong: ErrorOrSkip = Field(
        default="error",
        description="prompts that leave no room for a completion: stop, or leave them out",
    )
    refused: ErrorOrSkip = Field(
        default="error",
        description="prompts that the model's chat template refuses: stop, or leave them out",
    )
    unfinished: Unfinished = Field(
        default="judge",
        description="a response that the maximum length cut off: judge its text, or fail it",
    )


@dataclass(frozen=True)
class Task:
    """Prompts to train on, held-out prompts by data set, and the reward of a response.

    No held-out text occurs in train: `make_task` checks it, whatever the kind.
    """

    name: str
    train: Sequence[Prompt]
    heldout: Mapping[str, Sequence[Prompt]]
    reward: RewardFunction
    counts: Mapping[str, int] = field(default_factory=dict)
    """What loading removed or repeated, by reason, in prompts; an absent reason means none."""
    notes: tuple[str, ...] = ()
    """The same for people: one sentence each."""
    data_sets: tuple[DataSet, ...] = ()
    """The account of each data set that was read from files."""
    left_out: tuple[LeftOut, ...] = ()
    """Prompts that are left out because the run's model or its lengths do not take them."""
    overlong: ErrorOrSkip = "error"
    refused: ErrorOrSkip = "error"
    unfinished: Unfinished = "judge"

    def score(
        self, prompts: Sequence[Prompt], texts: Sequence[str], finished: BoolArray | None = None
    ) -> FloatArray:
        """Rewards (n,) of the responses, in order; in parallel where the reward has workers.

        ``finished`` (n,) says which ended by themselves; None: all. The others get at most 0 where
        ``unfinished`` is "fail". Raises RewardError as the reward's settings say, ValueError if the
        lengths differ.
        """
        check_lengths(prompts, texts)
        batched = getattr(self.reward, "score", None)
        rewards: FloatArray = (batched or self._one_by_one)(prompts, texts)
        if finished is not None and self.unfinished == "fail":
            rewards = np.where(finished, rewards, np.minimum(rewards, 0.0))
        return rewards

    def _one_by_one(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> FloatArray:
        return np.array(
            [
                checked_reward(self.reward(p, t), "the task's reward")
                for p, t in zip(prompts, texts, strict=True)
            ],
            dtype=np.float64,
        )

    def supervised_examples(self, n: int, rng: np.random.Generator) -> list[tuple[str, str]]:
        """n (text, answer) pairs drawn with replacement from train, never from a held-out set.

        Raises InputError if train has no prompt with a reference answer.
        """
        usable = [p for p in self.train if p.answer]
        if not usable:
            raise InputError(f"task {self.name!r} has no reference answers to supervise on")
        return [(usable[i].text, usable[i].answer) for i in rng.integers(len(usable), size=n)]

    def fingerprint(self) -> str:
        """Hash of all texts and answers in order, by which a checkpoint recognises its task.

        Columns that the reward takes are part of it.
        """
        digest = hashlib.sha256()
        parts = [("train", self.train), *sorted(self.heldout.items())]
        for name, prompts in parts:
            digest.update(f"{name}\x00{len(prompts)}\x00".encode())
            for prompt in prompts:
                said = [*prompt.metadata.get("turns", ()), (prompt.text, prompt.answer)]
                for first, second in said:
                    digest.update(f"{first}\x00{second}\x00".encode("utf-8", "replace"))
                columns = prompt.metadata.get("columns")
                if columns:
                    plain = json.dumps(columns, sort_keys=True, default=repr)
                    digest.update(f"{plain}\x00".encode())
        return digest.hexdigest()[:16]

    def close(self) -> None:
        """Stop the reward's worker processes, if it has any; they start again when needed."""
        close = getattr(self.reward, "close", None)
        if close is not None:
            close()


def check_disjoint(task: Task) -> Task:
    """The task itself, or InputError if it is empty or a held-out text also occurs in train."""
    if not task.train:
        raise InputError(f"task {task.name!r} has no prompts to train on; ask for more or add data")
    train = {prompt_key(prompt) for prompt in task.train}
    for name, prompts in task.heldout.items():
        if not prompts:
            raise InputError(f"held-out set {name!r} of task {task.name!r} is empty")
        for prompt in prompts:
            if prompt_key(prompt) in train:
                raise InputError(
                    f"held-out set {name!r} of task {task.name!r} shares a prompt with train "
                    f"({prompt.source}): {prompt.text[:80]!r}"
                )
    return task
