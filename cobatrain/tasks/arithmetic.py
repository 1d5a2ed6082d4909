"""The built-in arithmetic ladder: `12+7=` -> `19`, graded by operation and number of digits.

Operand pairs are held out, not questions. The operand space of a level is split once by a
seeded permutation, with 7+12 and 12+7 (and 7*12 and 12*7) on the same side. So train and held-out
are disjoint by construction, and a held-out sum is never seen with its operands swapped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from cobasim.arrays import BoolArray, IntArray
from cobasim.errors import InputError
from cobasim.settings import Frozen
from cobatrain.tasks.apportion import apportion
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import CustomRewardConfig
from cobatrain.tasks.streams import (
    ARITHMETIC_HELDOUT,
    ARITHMETIC_ORDER,
    ARITHMETIC_SPLIT,
    ARITHMETIC_TRAIN,
    rng_of,
)
from cobatrain.tasks.task import Task, check_disjoint
from cobatrain.tasks.verify import ExactMatch, custom_verifier
from cobatrain.tasks.wording import counted

LEVELS = ("1+1", "1-1", "1*1", "2+1", "2-1", "2*1", "2+2", "2-2", "2*2", "3+2", "3-2", "3*2")
"""The default ladder: digits of the left operand, operation, digits of the right operand."""

MAX_DIGITS = 6
"""Most digits of both operands together: the operand space of a level is enumerated."""

_OPERATIONS = {"+": np.add, "-": np.subtract, "*": np.multiply}
_LEVEL = re.compile(r"([1-9])([+\-*])([1-9])", re.ASCII)


def _parsed(level: str) -> tuple[int, str, int]:
    """(left digits, operation, right digits) of a level's name."""
    match = _LEVEL.fullmatch(level)
    if match is None or int(match[1]) + int(match[3]) > MAX_DIGITS:
        raise ValueError(
            f"unknown arithmetic level {level!r}: expected digits, operation, digits such as "
            f"'2+1' or '3*2', with + - or * and at most {MAX_DIGITS} digits together"
        )
    return int(match[1]), match[2], int(match[3])


class ArithmeticConfig(Frozen):
    """Settings of the arithmetic ladder."""

    kind: Literal["arithmetic"] = "arithmetic"
    levels: tuple[str, ...] = Field(default=LEVELS, min_length=1)
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

    @field_validator("levels")
    @classmethod
    def _known_levels(cls, levels: tuple[str, ...]) -> tuple[str, ...]:
        for level in levels:
            _parsed(level)
        if len(set(levels)) != len(levels):
            raise ValueError(f"levels {levels} name a level twice: list each level once")
        return levels

    @model_validator(mode="after")
    def _one_share_per_level(self) -> ArithmeticConfig:
        if self.shares is not None:
            if len(self.shares) != len(self.levels):
                raise ValueError(
                    f"{counted(len(self.shares), 'share')} for "
                    f"{counted(len(self.levels), 'level')}: give one per level"
                )
            if not all(0 < share < float("inf") for share in self.shares):
                raise ValueError(f"shares {self.shares} must be positive and finite")
        return self


def _operands(digits: int) -> IntArray:
    """All numbers of that many digits; 0 counts as one digit."""
    return np.arange(10 ** (digits - 1) if digits > 1 else 0, 10**digits, dtype=np.int64)


def heldout_grid(level: str, fraction: float, seed: int) -> BoolArray:
    """Which operand pairs of a level are held out, (left operands, right operands).

    Of the level's distinct pairs round(fraction * count) are held out, at least one and never all,
    by a permutation seeded with the seed, the operation and the digits. For + and * a pair and its
    swapped pair count as one, also across levels: the grid of "1+2" is that of "2+1", transposed.
    """
    left, operation, right = _parsed(level)
    commutes = operation != "-"
    if commutes and left < right:
        return heldout_grid(f"{right}{operation}{left}", fraction, seed).T
    shape = (_operands(left).size, _operands(right).size)
    if commutes and left == right:
        rows, columns = np.tril_indices(shape[0])
    else:
        rows, columns = (axis.ravel() for axis in np.indices(shape))
    held = int(np.clip(round(fraction * rows.size), 1, rows.size - 1))
    rng = rng_of(seed, ARITHMETIC_SPLIT, ord(operation), left, right)
    chosen = rng.permutation(rows.size)[:held]
    grid = np.zeros(shape, dtype=bool)
    grid[rows[chosen], columns[chosen]] = True
    if commutes and left == right:
        grid |= grid.T
    return grid


@dataclass(frozen=True)
class _Side:
    """One level's questions on one side of the split."""

    level: str
    pairs: IntArray  # (n, 2)

    def questions(self, index: IntArray) -> list[tuple[str, str]]:
        """(text, answer) of the pairs at these positions."""
        _, operation, _ = _parsed(self.level)
        left, right = self.pairs[index].T
        answers = _OPERATIONS[operation](left, right)
        return [
            (f"{a}{operation}{b}=", str(c))
            for a, b, c in zip(left.tolist(), right.tolist(), answers.tolist(), strict=True)
        ]

    def prompts(self, index: IntArray) -> list[Prompt]:
        """The same as prompts."""
        source = f"arithmetic {self.level}"
        return [Prompt(t, a, self.level, source) for t, a in self.questions(index)]


@dataclass(frozen=True)
class ArithmeticTask(Task):
    """A task that also knows its operand spaces, so that supervision can draw from all of train."""

    sides: Mapping[str, _Side] = field(default_factory=dict)
    """Level -> its train side."""
    shares: tuple[float, ...] = ()

    def supervised_examples(
        self, n: int, rng: np.random.Generator, levels: Sequence[str] | None = None
    ) -> list[tuple[str, str]]:
        """n (text, answer) pairs from the train side of the operand space, with replacement.

        They are drawn from every train pair, not only from the pool of prompts; never from a
        held-out pair. Levels come in the configured shares, or equally from `levels` if given
        (InputError for one that the task does not have).
        """
        if levels is None:
            names, weights = list(self.sides), np.asarray(self.shares)
        else:
            names, weights = list(levels), np.ones(len(levels))
            missing = [name for name in names if name not in self.sides]
            if missing or not names:
                raise InputError(f"levels {names}: the task has {', '.join(self.sides)}")
        which = rng.choice(len(names), size=n, p=weights / weights.sum())
        out: list[tuple[str, str]] = [("", "")] * n
        for i, name in enumerate(names):
            places = np.flatnonzero(which == i)
            side = self.sides[name]
            drawn = side.questions(rng.integers(len(side.pairs), size=places.size))
            for place, example in zip(places.tolist(), drawn, strict=True):
                out[place] = example
        return out


def _sides(level: str, fraction: float, seed: int) -> tuple[_Side, _Side]:
    """(train, held-out) side of a level."""
    left, _, right = _parsed(level)
    grid = heldout_grid(level, fraction, seed)
    first, second = _operands(left)[0], _operands(right)[0]
    train, heldout = (
        np.stack([rows + first, columns + second], axis=1)
        for rows, columns in (np.nonzero(~grid), np.nonzero(grid))
    )
    return _Side(level, train), _Side(level, heldout)


def make_arithmetic(config: ArithmeticConfig, seed: int) -> ArithmeticTask:
    """The arithmetic ladder of a config and a seed.

    Reward: 1 if the response, stripped of white space, is the canonical integer (no leading zeros,
    no plus sign, no "-0"), else 0. A held-out question occurs once; a train question occurs more
    than once only if its level has fewer than asked for (`counts["repeated"]`).
    """
    shares = config.shares or (1.0,) * len(config.levels)
    sides = [_sides(level, config.heldout_fraction, seed) for level in config.levels]
    train_room = [len(train.pairs) for train, _ in sides]
    heldout_room = [len(heldout.pairs) for _, heldout in sides]
    repeat = config.small_levels == "repeat"
    wanted = apportion(config.train_size, shares, None if repeat else train_room)
    heldout_wanted = apportion(config.heldout_size, [1.0] * len(sides), heldout_room)

    pool: list[Prompt] = []
    heldout: list[Prompt] = []
    counts: dict[str, int] = {}
    notes: list[str] = []
    for i, (train_side, heldout_side) in enumerate(sides):
        key = [ord(c) for c in train_side.level]
        order = rng_of(seed, ARITHMETIC_TRAIN, *key).permutation(train_room[i])
        pool += train_side.prompts(order[np.arange(wanted[i]) % train_room[i]])
        order = rng_of(seed, ARITHMETIC_HELDOUT, *key).permutation(heldout_room[i])
        heldout += heldout_side.prompts(order[: heldout_wanted[i]])
        if wanted[i] > train_room[i]:
            counts["repeated"] = counts.get("repeated", 0) + int(wanted[i]) - train_room[i]
            notes.append(
                f"level {train_side.level} has {counted(train_room[i], 'question')} to train "
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
    shuffled = [pool[i] for i in rng_of(seed, ARITHMETIC_ORDER).permutation(len(pool))]
    reward = ExactMatch() if config.reward is None else custom_verifier(config.reward)
    task = ArithmeticTask(
        name="arithmetic",
        train=tuple(shuffled),
        heldout={"arithmetic": tuple(heldout)},
        reward=reward,
        counts=counts,
        notes=tuple(notes),
        sides={train.level: train for train, _ in sides},
        shares=tuple(shares),
    )
    check_disjoint(task)
    return task
