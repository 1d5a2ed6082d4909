"""Rewards: what a reward function is, what it may return, and which rewards count as a pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from cobasim.arrays import BoolArray, FloatArray
from cobasim.settings import Frozen
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.wording import counted

RewardFunction = Callable[[Prompt, str], float]
"""(prompt, the model's text) -> reward in [0, 1]; the built-in ones give 0 or 1."""


class RewardError(RuntimeError):
    """A reward function raised, hung, crashed or returned something that is not a reward."""


class CustomRewardConfig(Frozen):
    """A reward function of the user's own, `function(prompt: Prompt, text: str) -> float`."""

    function: str = Field(description="import path, `package.module:function`")
    on_error: Literal["raise", "zero"] = Field(
        default="raise",
        description="if it raises, hangs, crashes or returns no number in [0, 1]: stop, or give 0",
    )
    time_limit: float = Field(default=10.0, gt=0, description="seconds of wall time per response")
    workers: int = Field(default=2, ge=1)


def passed(rewards: FloatArray) -> BoolArray:
    """Which rewards count as a pass: those above 0.5.

    Args:
        rewards: in [0, 1], of any shape.

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
    """The value as a float; RewardError, naming the function, if it is not a number in [0, 1]."""
    if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
        raise RewardError(
            f"{name} returned {type(value).__name__}: a reward is one number in [0, 1]"
        )
    reward = float(value)
    if not 0.0 <= reward <= 1.0:  # also catches nan
        raise RewardError(f"{name} returned {reward!r}: a reward lies in [0, 1]")
    return reward
