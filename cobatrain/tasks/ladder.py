"""A task in levels of difficulty, each made of pairs of numbers: what its kinds share.

Train and held-out are disjoint by construction, since pairs are held out (``operands``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from cobasim.arrays import IntArray
from cobasim.errors import InputError
from cobatrain.tasks.apportion import apportion
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import CustomRewardConfig, RewardFunction
from cobatrain.tasks.streams import LADDER_HELDOUT, LADDER_ORDER, LADDER_TRAIN, rng_of
from cobatrain.tasks.task import Task, TaskSettings, check_disjoint
from cobatrain.tasks.verify import custom_verifier
from cobatrain.tasks.wording import counted

Asked = Callable[[IntArray], list[tuple[str, str]]]
"""Pairs (n, 2) -> their n questions as (text, answer)."""


class LadderConfig(TaskSettings):
    """Settings of every ladder; its kind has the names of its levels."""

    levels: tuple[str, ...] = Field(min_length=1)
    shares: tuple[float, ...] | None = Field(
        default=None, description="share of each level in train, any scale; equal if not given"
    )
    train_size: int = Field(default=8192, ge=1)
    heldout_size: int = Field(
        default=500, ge=1, description="over all levels, as equal as their sizes allow"
    )
    heldout_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="share of each level's operand pairs held out"
    )
    small_levels: Literal["repeat", "shrink"] = Field(
        default="repeat",
        description="a level with fewer train questions than asked for: repeat them, or give "
        "its places to the other levels (and a smaller pool if none has room)",
    )
    reward: CustomRewardConfig | None = None

    @classmethod
    def check_level(cls, level: str) -> None:
        """Raise ValueError for a level that this kind does not have."""
        raise NotImplementedError

    @field_validator("levels")
    @classmethod
    def _known_levels(cls, levels: tuple[str, ...]) -> tuple[str, ...]:
        for level in levels:
            cls.check_level(level)
        if len(set(levels)) != len(levels):
            raise ValueError(f"levels {levels} name a level twice: list each level once")
        return levels

    @model_validator(mode="after")
    def _one_share_per_level(self) -> LadderConfig:
        if self.shares is not None:
            if len(self.shares) != len(self.levels):
                raise ValueError(
                    f"{counted(len(self.shares), 'share')} for "
                    f"{counted(len(self.levels), 'level')}: give one per level"
                )
            if not all(0 < share < float("inf") for share in self.shares):
                raise ValueError(f"shares {self.shares} must be positive and finite")
        return self


@dataclass(frozen=True)
class Level:
    """All questions of a level, on both sides of the split."""

    name: str
    train: IntArray
    """Pairs (n, 2)."""
    heldout: IntArray
    """Pairs (n, 2)."""
    asked: Asked
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the verifier needs to know of each of its prompts."""


@dataclass(frozen=True)
class LadderTask(Task):
    """A task that also knows its pairs, so that supervision can draw from all of train."""

    levels: Mapping[str, Level] = field(default_factory=dict)
    shares: tuple[float, ...] = ()

    def supervised_examples(
        self, n: int, rng: np.random.Generator, levels: Sequence[str] | None = None
    ) -> list[tuple[str, str]]:
        """n (text, answer) pairs from the train side of the operand pairs, with replacement.

        They are drawn from every train pair, not only from the pool of prompts; never from a
        held-out pair. Levels come in the configured shares, or equally from `levels` if given
        (InputError for one that the task does not have).
        """
        if levels is None:
            names, weights = list(self.levels), np.asarray(self.shares)
        else:
            names, weights = list(levels), np.ones(len(levels))
            missing = [name for name in names if name not in self.levels]
            if missing or not names:
                raise InputError(f"levels {names}: the task has {', '.join(self.levels)}")
        which = rng.choice(len(names), size=n, p=weights / weights.sum())
        out: list[tuple[str, str]] = [("", "")] * n
        for i, name in enumerate(names):
            places = np.flatnonzero(which == i)
            level = self.levels[name]
            drawn = level.asked(level.train[rng.integers(len(level.train), size=places.size)])
            for place, example in zip(places.tolist(), drawn, strict=True):
                out[place] = example
        return out


def make_ladder(
    name: str, config: LadderConfig, levels: Sequence[Level], reward: RewardFunction, seed: int
) -> LadderTask:
    """The task of these levels, rewarded by ``reward`` unless the config names another.

    A held-out question occurs once; a train question occurs more than once only if its level has
    fewer than asked for (`counts["repeated"]`). Raises InputError for a level with no question to
    train on.
    """
    shares = config.shares or (1.0,) * len(levels)
    train_room = [len(level.train) for level in levels]
    heldout_room = [len(level.heldout) for level in levels]
    if 0 in train_room:
        raise InputError(
            f"level {levels[train_room.index(0)].name!r} has no question to train on with "
            f"heldout_fraction {config.heldout_fraction:g}: lower it, or leave the level out"
        )
    repeat = config.small_levels == "repeat"
    wanted = apportion(config.train_size, shares, None if repeat else train_room)
    heldout_wanted = apportion(config.heldout_size, [1.0] * len(levels), heldout_room)

    pool: list[Prompt] = []
    heldout: list[Prompt] = []
    counts: dict[str, int] = {}
    notes: list[str] = []
    for i, level in enumerate(levels):
        key = [ord(c) for c in level.name]
        order = rng_of(seed, LADDER_TRAIN, *key).permutation(train_room[i])
        pool += _prompts(name, level, level.train[order[np.arange(wanted[i]) % train_room[i]]])
        order = rng_of(seed, LADDER_HELDOUT, *key).permutation(heldout_room[i])
        heldout += _prompts(name, level, level.heldout[order[: heldout_wanted[i]]])
        if wanted[i] > train_room[i]:
            counts["repeated"] = counts.get("repeated", 0) + int(wanted[i]) - train_room[i]
            notes.append(
                f"level {level.name} has {counted(train_room[i], 'question')} to train "
                f"on: repeated to fill {counted(int(wanted[i]), 'place')}"
            )
    if len(pool) < config.train_size:
        counts["train short"] = config.train_size - len(pool)
        notes.append(
            f"train has {counted(len(pool), 'question')}, {config.train_size} were asked for"
        )
    if len(heldout) < config.heldout_size:
        counts["heldout short"] = config.heldout_size - len(heldout)
        notes.append(
            f"held out: {counted(len(heldout), 'question')}, {config.heldout_size} were asked for"
        )
    with custom_verifier(config.reward) as (own_reward, columns):
        columns.check({}, f"task {name!r}, which has no rows")
    shuffled = [pool[i] for i in rng_of(seed, LADDER_ORDER).permutation(len(pool))]
    task = LadderTask(
        name=name,
        train=tuple(shuffled),
        heldout={name: tuple(heldout)},
        reward=own_reward or reward,
        counts=counts,
        notes=tuple(notes),
        levels={level.name: level for level in levels},
        shares=tuple(shares),
    )
    check_disjoint(task)
    return task


def _prompts(task: str, level: Level, pairs: IntArray) -> list[Prompt]:
    source = f"{task} {level.name}"
    return [
        Prompt(text, answer, level.name, source, level.metadata)
        for text, answer in level.asked(pairs)
    ]
