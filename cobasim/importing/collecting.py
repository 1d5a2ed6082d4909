"""Rollouts of a log, counted by step and group as they come; texts of rollouts are not kept."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.importing.reading import LogRow
from cobasim.importing.rollouts import Rollout

Repeated = Literal["error", "last", "join"]


@dataclass(frozen=True, eq=False)
class LoggedStep:
    """The m groups of one step, in the order in which the log names them.

    Attributes:
        step: as logged.
        prompts: (m,) numbers of prompts; two groups may be of one prompt.
        budgets, passes: (m,) rollouts, and how many of them passed.
        rewards: (m,) mean reward.
        equal: (m,) whether all rewards (or advantages) of the group are the same.
        lengths: (m,) mean tokens of a response; NaN where the log has none.
    """

    step: int
    prompts: IntArray
    budgets: IntArray
    passes: IntArray
    rewards: FloatArray
    equal: BoolArray
    lengths: FloatArray

    @property
    def rollouts(self) -> int:
        """Rollouts of all groups."""
        return int(self.budgets.sum())


@dataclass(slots=True)
class _Group:
    """What is counted of one group while its step is open."""

    prompt: int
    rollouts: int = 0
    passes: int = 0
    reward: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    length: float = 0.0
    lengths: int = 0

    def count(self, rollout: Rollout, passed: bool) -> None:
        """Add one rollout."""
        self.rollouts += 1
        self.passes += passed
        self.reward += rollout.reward
        self.low = min(self.low, rollout.signal)
        self.high = max(self.high, rollout.signal)
        if rollout.length is not None:
            self.length += rollout.length
            self.lengths += 1


@dataclass
class _OpenStep:
    """A step whose rows are still being read."""

    step: int
    groups: dict[str | int, _Group] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)

    def closed(self) -> LoggedStep:
        """The step as arrays."""
        groups = list(self.groups.values())
        return LoggedStep(
            self.step,
            np.array([group.prompt for group in groups], dtype=np.int64),
            np.array([group.rollouts for group in groups], dtype=np.int64),
            np.array([group.passes for group in groups], dtype=np.int64),
            np.array([group.reward / group.rollouts for group in groups]),
            np.array([group.low == group.high for group in groups], dtype=np.bool_),
            np.array(
                [group.length / group.lengths if group.lengths else np.nan for group in groups]
            ),
        )


class Collector:
    """Counts rollouts. A step is closed when rows of another one, or of another file, follow.

    Args:
        repeated: what happens if rows of a closed step follow: an error; the later ones count
            alone ("last", a resumed run); or they are put together ("join", several writers).
        reuses: whether a step with the very rollouts of the one before is that batch logged again;
            it is left out. Not together with "join". Rollouts are told apart by their responses.

    Attributes:
        prompts: text of a prompt -> its number, in the order of appearance.
        replaced: rollouts that gave way to later ones of their step.
        reused: steps that were left out because they repeat the one before.
        outputs: further rows of one rollout, which count once.
    """

    def __init__(self, repeated: Repeated = "error", *, reuses: bool = False) -> None:
        self.repeated, self.reuses = repeated, reuses and repeated != "join"
        self.prompts: dict[str, int] = {}
        self.replaced = 0
        self.reused: list[int] = []
        self.outputs = 0
        self._open: dict[int, _OpenStep] = {}
        self._closed: dict[int, LoggedStep] = {}
        self._first: dict[int, str] = {}  # step -> place of its first row
        self._last: tuple[Path, int] | None = None  # file and step of the last row
        self._digest = hashlib.blake2b()  # of the step that is open
        self._digest_before: bytes | None = None

    def add(self, rollout: Rollout, passed: bool, row: LogRow) -> None:
        """Count one rollout.

        Args:
            rollout: as read.
            passed: whether it passed.
            row: where it was read.

        Raises InputError for a step that comes again, and for a group with two prompts.
        """
        if self._last != (row.file.path, rollout.step):
            self._begin(rollout.step, row.place)
            self._last = (row.file.path, rollout.step)
        prompt = self.prompts.setdefault(rollout.prompt, len(self.prompts))
        opened = self._open[rollout.step]
        if self.reuses:
            self._digest.update(repr((prompt, rollout.score, rollout.response)).encode())
        if rollout.session is not None:
            if rollout.session in opened.sessions:
                self.outputs += 1
                return
            opened.sessions.add(rollout.session)
        key: str | int = prompt if rollout.group is None else rollout.group
        group = opened.groups.get(key)
        if group is None:
            group = opened.groups[key] = _Group(prompt)
        elif group.prompt != prompt:
            raise InputError(
                f"{row.place}: group {rollout.group!r} of step {rollout.step} has a second prompt; "
                "name the column that tells groups apart with --group"
            )
        group.count(rollout, passed)

    def _begin(self, step: int, place: str) -> None:
        """Open a step; the one before it is closed, unless steps are joined."""
        if self.repeated != "join":
            self._close()
        if step in self._first and self.repeated == "error":
            raise InputError(
                f"{place}: step {step} comes again (first at {self._first[step]}): if the run was "
                "resumed, --repeated-step last keeps the later rows; if several processes wrote "
                "them, --repeated-step join puts them together"
            )
        if step in self._closed:
            self.replaced += self._closed.pop(step).rollouts
        self._first.setdefault(step, place)
        self._open.setdefault(step, _OpenStep(step))

    def _close(self) -> None:
        """Turn open steps into arrays."""
        for step, opened in self._open.items():
            if self.reuses:
                digest, self._digest = self._digest.digest(), hashlib.blake2b()
                again, self._digest_before = digest == self._digest_before, digest
                if again:
                    self.reused.append(step)
                    continue
            self._closed[step] = opened.closed()
        self._open.clear()

    def finish(self) -> tuple[list[LoggedStep], list[str]]:
        """All steps by their numbers, and the texts of their prompts by number."""
        self._close()
        steps = [self._closed[step] for step in sorted(self._closed)]
        used = np.zeros(len(self.prompts), dtype=np.bool_)
        for step in steps:
            used[step.prompts] = True
        if not used.all():  # some prompts came up only in rollouts that were left out
            number = np.cumsum(used) - 1
            steps = [replace(step, prompts=number[step.prompts]) for step in steps]
        return steps, [text for text, kept in zip(self.prompts, used, strict=True) if kept]
