"""One row of a log as a rollout."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from cobasim.data import is_missing, number, value_of
from cobasim.importing.layouts import Columns

_WORDS = {"true": 1.0, "false": 0.0}

_VERL_KEY = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_(\d+)_(\d+)")
"""verl since 0.9 writes UID_SESSION_OUTPUT as ``uid``: group, rollout, and which of its outputs."""

_VERL_PADDING = re.compile(r"pad[0-9a-f]{32}_\d+_\d+")
"""``uid`` of rows that fill up a batch of verl (since 0.9): one token, no gradient."""

MOST_STEPS = 10**9
"""Numbers of steps above this are taken for something else."""


class Rollout(NamedTuple):
    """One rollout as the log has it.

    Attributes:
        step: number of the step as logged.
        prompt: its text; chat messages as JSON.
        group: what the rollouts of its group share besides the step; None: the prompt.
        session: names the rollout where several rows may be outputs of one; None: a row is one.
        score: says whether it passed.
        reward: what the trainer optimised.
        signal: equal over a group if the group had no gradient: the advantage, or the reward.
        length: tokens of the response; None: not logged.
        response: its text; None: not logged.
    """

    step: int
    prompt: str
    group: str | None
    session: str | None
    score: float
    reward: float
    signal: float
    length: float | None
    response: str | None


class PaddingError(ValueError):
    """A row that fills up a batch: no rollout."""


class NoScoreError(ValueError):
    """A rollout without a score, such as one that a reward function returned None for."""


def as_number(value: Any) -> float | None:
    """A number, truth value or word for it as a float; None if missing. Raises ValueError."""
    if isinstance(value, bool):
        return float(value)
    if is_missing(value):
        return None
    if isinstance(value, str) and (word := value.strip().lower()) in _WORDS:
        return _WORDS[word]
    try:
        return number(value)
    except ValueError:
        raise ValueError(f"{_short(value)} is not a finite number") from None


class RolloutReader:
    """Takes rollouts from rows.

    Args:
        columns: which of them hold what.

    Attributes:
        composed: whether a group's name was read as UID_SESSION_OUTPUT.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.composed = False

    def read(self, row: Mapping[str, Any], step: int | None) -> Rollout:
        """The rollout of a row.

        Args:
            row: of the log.
            step: what the name of its file says; None: nothing.

        Raises PaddingError for a row that is no rollout, NoScoreError for one without a score, and
        ValueError for one that cannot be used.
        """
        columns = self.columns
        group, session = self._group(row)
        logged = self._step(row, step)
        prompt = text_of(self._value(row, columns.prompt))
        if prompt is None or not prompt.strip():
            raise ValueError(f"no prompt in column {columns.prompt!r}")
        score = self._number(row, columns.score)
        if score is None:
            raise NoScoreError(f"no score in column {columns.score!r}")
        reward = self._number_or(row, columns.reward, score)
        signal = self._number_or(row, columns.advantage, reward)
        length = self._number(row, columns.length)
        if length is not None and length < 0:
            raise ValueError(f"the length {length:g} is below 0")
        response = None if columns.response is None else text_of(self._value(row, columns.response))
        return Rollout(logged, prompt, group, session, score, reward, signal, length, response)

    def _step(self, row: Mapping[str, Any], step: int | None) -> int:
        value = self._value(row, self.columns.step)
        if value is None and step is not None:
            return step
        given = None if isinstance(value, bool) else self._number(row, self.columns.step)
        if given is None or not 0 <= given <= MOST_STEPS or given != math.floor(given):
            raise ValueError(
                f"the step {_short(value)} is not a whole number of 0 to {MOST_STEPS} (column "
                f"{self.columns.step!r})"
            )
        if step is not None and given != step:
            raise ValueError(f"step {given:.0f} in a file that is named after step {step}")
        return int(given)

    def _group(self, row: Mapping[str, Any]) -> tuple[str | None, str | None]:
        if self.columns.group is None:
            return None, None
        value = text_of(self._value(row, self.columns.group))
        if value is None or not value.strip():
            raise ValueError(f"no value in column {self.columns.group!r}, which names the group")
        if _VERL_PADDING.fullmatch(value):
            raise PaddingError("a row that fills up a batch")
        key = _VERL_KEY.fullmatch(value)
        if key is None:
            return value, None
        self.composed = True
        return key[1], f"{key[1]}_{key[2]}"

    def _number_or(self, row: Mapping[str, Any], column: str | None, default: float) -> float:
        given = self._number(row, column)
        return default if given is None else given

    def _number(self, row: Mapping[str, Any], column: str | None) -> float | None:
        """The number in a column; None if it is missing or there is no such column."""
        if column is None:
            return None
        try:
            return as_number(self._value(row, column))
        except ValueError as error:
            raise ValueError(f"{error} (column {column!r})") from None

    def _value(self, row: Mapping[str, Any], column: str) -> Any:
        try:
            return value_of(row, column)
        except KeyError:
            return None


def text_of(value: Any) -> str | None:
    """A value as a text that is the same for equal values: chat messages as JSON.

    None for None and NaN.
    """
    if value is None or isinstance(value, str):
        return value
    if is_missing(value):
        return None
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."
