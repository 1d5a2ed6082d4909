"""Rewards: what a reward function is, what it may return, and which rewards count as a pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from cobasim.arrays import BoolArray, FloatArray
from cobasim.settings import Frozen
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.wording import counted

RewardFunction = Callable[[Prompt, str], float]
"""(prompt, the model's text) -> reward, any finite number; the built-in ones give 0 or 1."""


class RewardError(RuntimeError):
    """A reward function raised, hung, crashed or returned something that is not a reward."""


class CustomRewardConfig(Frozen):
    """A reward function of the user's own, `function(prompt: Prompt, text: str) -> float`."""

    function: str = Field(description="import path, `package.module:function`")
    on_error: Literal["raise", "zero"] = Field(
        default="raise",
        description="if it raises, hangs, crashes or returns no finite number: stop, or give 0",
    )
    time_limit: float = Field(default=10.0, gt=0, description="seconds of wall time per response")
    workers: int = Field(default=2, ge=1)


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
