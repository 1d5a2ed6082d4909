"""Prompts, tasks and what every kind of task shares: disjointness, templates, reward settings."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from cobasim.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class RewardError(RuntimeError):
    """A reward function raised, hung, crashed or returned something that is not a reward."""


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
    """What the verifier or the template needs besides; never shown to the model. "key", if there,
    is the `text_key` of the problem without instructions."""


RewardFunction = Callable[[Prompt, str], float]
"""(prompt, the model's text) -> reward in [0, 1]; the built-in ones give 0 or 1."""


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

    def score(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> FloatArray:
        """Rewards (n,) of the responses, in order; in parallel where the reward has workers.

        Raises RewardError as the reward's settings say, ValueError if the lengths differ.
        """
        check_lengths(prompts, texts)
        batched = getattr(self.reward, "score", None)
        if batched is not None:
            rewards: FloatArray = batched(prompts, texts)
            return rewards
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
        """Hash of all texts and answers in order, by which a checkpoint knows its task."""
        digest = hashlib.sha256()
        parts = [("train", self.train), *sorted(self.heldout.items())]
        for name, prompts in parts:
            digest.update(f"{name}\x00{len(prompts)}\x00".encode())
            for prompt in prompts:
                digest.update(f"{prompt.text}\x00{prompt.answer}\x00".encode("utf-8", "replace"))
        return digest.hexdigest()[:16]

    def close(self) -> None:
        """Stop the reward's worker processes, if it has any; they start again when needed."""
        close = getattr(self.reward, "close", None)
        if close is not None:
            close()


class Settings(BaseModel):
    """Base of the configs: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CustomRewardConfig(Settings):
    """A reward function of the user's own, `function(prompt: Prompt, text: str) -> float`."""

    function: str = Field(description="import path, `package.module:function`")
    on_error: Literal["raise", "zero"] = Field(
        default="raise",
        description="when it raises, hangs, crashes or gives no number in [0, 1]: stop, or give 0",
    )
    time_limit: float = Field(default=10.0, gt=0, description="seconds of wall time per response")
    workers: int = Field(default=2, ge=1)


def check_lengths(prompts: Sequence[Prompt], texts: Sequence[str]) -> None:
    """Raise ValueError unless there is one text for each prompt."""
    if len(prompts) != len(texts):
        raise ValueError(
            f"{len(prompts)} prompts but {len(texts)} texts: give one text per rollout, "
            "with its prompt repeated"
        )


def checked_reward(value: object, name: str) -> float:
    """The value as a float, or RewardError naming its function if it is not a number in [0, 1]."""
    if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
        raise RewardError(
            f"{name} returned {type(value).__name__}: a reward is one number in [0, 1]"
        )
    reward = float(value)
    if not 0.0 <= reward <= 1.0:  # also catches nan
        raise RewardError(f"{name} returned {reward!r}: a reward lies in [0, 1]")
    return reward


# The frame around every problem of DAPO-Math-17K as published (arXiv 2503.14476).
_DAPO_BEFORE = "Solve the following math problem step by step."
_DAPO_BEFORE_END = "is the answer to the problem."
_DAPO_AFTER = 'Remember to put your answer on its own line after "Answer:".'


def text_key(text: str) -> str:
    """What two texts are compared by: Unicode NFKC, white space collapsed, DAPO's frame removed.

    So a problem is found again under another line break or without DAPO-Math-17K's instructions.
    A paraphrase is not.
    """
    key = " ".join(unicodedata.normalize("NFKC", text).split())
    if key.startswith(_DAPO_BEFORE) and _DAPO_BEFORE_END in key:
        key = key.split(_DAPO_BEFORE_END, 1)[1].removesuffix(_DAPO_AFTER).strip()
    return key


def check_disjoint(task: Task) -> Task:
    """The task itself, or InputError if it is empty or a held-out text also occurs in train."""
    if not task.train:
        raise InputError(f"task {task.name!r} has no prompts to train on; ask for more or add data")

    def key(prompt: Prompt) -> str:
        return prompt.metadata.get("key") or text_key(prompt.text)

    train = {key(prompt) for prompt in task.train}
    for name, prompts in task.heldout.items():
        if not prompts:
            raise InputError(f"held-out set {name!r} of task {task.name!r} is empty")
        for prompt in prompts:
            if key(prompt) in train:
                raise InputError(
                    f"held-out set {name!r} of task {task.name!r} shares a prompt with train "
                    f"({prompt.source}): {prompt.text[:80]!r}"
                )
    return task


def rng_of(seed: int, *stream: int) -> np.random.Generator:
    """The generator of one stream of one seed. Raises InputError for a negative seed."""
    if seed < 0:
        raise InputError(f"seed {seed} is negative: give an integer >= 0")
    return np.random.default_rng([seed, *stream])


def apportion(
    total: int, weights: Sequence[float], capacity: Sequence[int] | None = None
) -> IntArray:
    """Whole numbers (k,) near total * weights / sum(weights), by largest remainders.

    They sum to total. With `capacity` (k,) none exceeds its own; what does not fit goes to the
    others, and the sum is min(total, sum(capacity)). Ties go to the lower index.
    """
    share = np.asarray(weights, dtype=np.float64)
    room = np.full(share.size, total) if capacity is None else np.asarray(capacity)
    out = np.zeros(share.size, dtype=np.int64)
    left = min(total, int(room.sum()))
    while left > 0:
        open_ = (out < room) & (share > 0)
        if not open_.any():  # only levels of weight zero have room
            break
        exact = np.where(open_, left * share / share[open_].sum(), 0.0)
        more = np.floor(exact).astype(np.int64)
        order = np.argsort(-(exact - more), kind="stable")
        order = order[open_[order]]
        more[order[: left - int(more.sum())]] += 1
        more = np.minimum(more, room - out)
        out += more
        left -= int(more.sum())
    return out


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that `format_prompt` uses."""

    chat_template: Any

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> Any:
        """Render messages to one string."""


def format_prompt(prompt: Prompt, tokenizer: ChatTokenizer, *, system: str | None = None) -> str:
    """The text that the model continues: the chat template applied to the prompt.

    A tokenizer without a chat template (a base or character-level model) gives the bare text.
    A system message that came with the prompt (metadata "system") yields to `system`. Raises
    InputError if there is a system message and no template to put it in.
    """
    system = system if system is not None else prompt.metadata.get("system")
    if not getattr(tokenizer, "chat_template", None):
        if system:
            raise InputError(
                "a system message was given but the tokenizer has no chat template: "
                "leave the system message out or use a chat model's tokenizer"
            )
        return prompt.text
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt.text})
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return str(rendered)


def levels_of(prompts: Iterable[Prompt]) -> dict[str, int]:
    """Number of prompts per level, in order of first appearance."""
    counts: dict[str, int] = {}
    for prompt in prompts:
        counts[prompt.level] = counts.get(prompt.level, 0) + 1
    return counts
