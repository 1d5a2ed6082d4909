"""Rewards: what a reward function is, what it may return, and which rewards count as a pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from cobasim.arrays import BoolArray, FloatArray
from cobasim.data import BadRow, has, value_of
from cobasim.errors import InputError
from cobasim.settings import Frozen
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.wording import counted

RewardFunction = Callable[[Prompt, str], float]
"""(prompt, the model's text) -> reward, any finite number; the built-in ones give 0 or 1."""


class RewardError(RuntimeError):
    """A reward function raised, hung, crashed or returned something that is not a reward."""


class CustomRewardConfig(Frozen):
    """A reward function of the user's own, `function(prompt: Prompt, text: str) -> float`.

    What else it takes are columns of the prompt's row, by name (``RewardColumns``).
    """

    function: str = Field(description="import path, `package.module:function`")
    on_error: Literal["raise", "zero"] = Field(
        default="raise",
        description="if it raises, hangs, crashes or returns no finite number: stop, or give 0",
    )
    time_limit: float = Field(default=10.0, gt=0, description="seconds of wall time per response")
    workers: int = Field(default=2, ge=1)


@dataclass(frozen=True)
class RewardColumns:
    """Which columns of a prompt's row a reward function takes, as arguments of the same name."""

    function: str = ""
    """Its import path, for messages; "": there is none."""
    required: tuple[str, ...] = ()
    """Arguments without a default: every row must have them."""
    optional: tuple[str, ...] = ()
    """Arguments with a default: given where the row has the column."""
    every: bool = False
    """It takes `**columns`: all other columns too."""
    own: tuple[str, ...] = ()
    """Names of its first two arguments, prompt and text, under which no column can be given."""

    @property
    def names(self) -> tuple[str, ...]:
        """Those that it names."""
        return (*self.required, *self.optional)

    def missing(self, row: Mapping[str, Any]) -> str | None:
        """The first column that it cannot do without and that a row lacks."""
        return next((name for name in self.required if not has(row, name)), None)

    def check(self, row: Mapping[str, Any], where: str) -> None:
        """Raise InputError if a row lacks a column; ``where`` names the data."""
        missing = self.missing(row)
        if missing is not None:
            present = ", ".join([str(name) for name in row if name][:30]) or "none"
            raise InputError(
                f"{where}: no column {missing!r}, which the reward function {self.function!r} "
                f"takes; there are: {present}. Rename the argument, or give it a default"
            )

    def check_row(self, row: Mapping[str, Any]) -> None:
        """Raise BadRow if a row lacks a column."""
        missing = self.missing(row)
        if missing is not None:
            raise BadRow(f"no column {missing!r}, which the reward function takes")

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> RewardColumns:
        """From its ``vars`` after they were JSON: tuples are lists there."""
        tuples: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**tuples)

    def given(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that a row gives; it must lack none. Raises InputError as ``value_of``."""
        named = {name: value_of(row, name) for name in self.names if has(row, name)}
        if not self.every:
            return named
        return {name: v for name, v in row.items() if name and name not in self.own} | named


NO_COLUMNS = RewardColumns()
"""Of the rewards that ship."""


def passed(rewards: FloatArray) -> BoolArray:
    """Which rewards count as a pass: those above 0.5.

    Args:
        rewards: the verifier's, before any penalty on length; of any shape.

    Returns booleans of the same shape.
    """
    above: BoolArray = np.asarray(rewards) > 0.5
    return above


def check_lengths(prompts: Sequence[Prompt], texts: Sequence[str]) -> None:
    """Raise ValueError unless there is one text for each prompt."""
    if len(prompts) != len(texts):
        raise ValueError(
            f"{counted(len(prompts), 'prompt')} but {counted(len(texts), 'text')}: give one text "
            "per rollout, with its prompt repeated"
        )


def checked_reward(value: object, name: str) -> float:
    """The value as a float; RewardError, naming the function, if it is no finite number."""
    if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
        raise RewardError(f"{name} returned {type(value).__name__}: a reward is one finite number")
    reward = float(value)
    if not math.isfinite(reward):
        raise RewardError(f"{name} returned {reward!r}: a reward is a finite number")
    return reward
