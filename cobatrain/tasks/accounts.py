"""What became of the rows of a data set: used, or dropped and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.wording import counted, counted_reason

_SAMPLES = 3
_REASONS = 5  # shown on the line
_SHORT = 60  # characters of a sample that are shown
_SHOWN = 3  # rows left out that are shown
_LISTED = 1000  # rows left out that are stored by file and line


@dataclass(frozen=True)
class DataSet:
    """The account of one data set: `rows` = `used` + the sum of `dropped`."""

    name: str
    path: str
    columns: str
    """Where problem and answer stand."""
    rows: int
    used: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> rows."""
    samples: tuple[tuple[str, str], ...] = ()
    """A few (problem, answer) pairs as they were read."""
    left_out: tuple[str, ...] = ()
    """Rows that could not be used, "file: line 12: why"."""

    def without(self, reason: str, prompts: int) -> DataSet:
        """The account after so many prompts more were dropped."""
        if not prompts:
            return self
        dropped = {**self.dropped, reason: self.dropped.get(reason, 0) + prompts}
        return replace(self, used=self.used - prompts, dropped=dropped)

    def lines(self) -> list[str]:
        """The account for people: one line, one for each sample, and the first rows left out."""
        lost = sum(self.dropped.values())
        rows = counted(self.rows, "row")
        text = f"{self.name}: {self.path} ({self.columns}): {rows}, {self.used:,} used"
        if lost:
            text += f", {lost:,} dropped: {self._reasons()}"
        samples = [f"  {_short(asked)} -> {_short(answer)}" for asked, answer in self.samples]
        left_out = [f"  left out: {row}" for row in self.left_out[:_SHOWN]]
        if len(self.left_out) > _SHOWN:
            left_out.append(f"  left out: {len(self.left_out) - _SHOWN:,} more")
        return [text, *samples, *left_out]

    def _reasons(self) -> str:
        """Why rows were dropped, the most frequent reasons first."""
        reasons = sorted(self.dropped.items(), key=lambda item: -item[1])
        words = [counted_reason(n, why) for why, n in reasons[:_REASONS]]
        others = sum(n for _, n in reasons[_REASONS:])
        return "; ".join([*words, *([f"{others:,} for other reasons"] if others else [])])

    def to_dict(self) -> dict[str, Any]:
        """The account for a file; of the rows left out the first thousand are listed."""
        return {
            "path": self.path,
            "columns": self.columns,
            **self.counts(),
            "samples": [list(pair) for pair in self.samples],
            "left_out": list(self.left_out[:_LISTED]),
        }

    def counts(self) -> dict[str, Any]:
        """The numbers alone."""
        return {"rows": self.rows, "used": self.used, "dropped": dict(self.dropped)}


@dataclass(frozen=True)
class LeftOut:
    """Prompts that a run leaves out because its model or its lengths do not take them."""

    reason: str
    """Such as "leave no room for a completion"."""
    prompts: Mapping[str, int]
    """How many of each data set."""
    named: tuple[str, ...]
    """Each of them once, "'text' (file line 12): why"."""

    def __str__(self) -> str:
        """The number and the first few."""
        by_set = ", ".join(f"{n} of {name}" for name, n in self.prompts.items())
        more = len(self.named) - _SHOWN
        shown = "; ".join([*self.named[:_SHOWN], *([f"and {more:,} more"] if more > 0 else [])])
        total = counted(sum(self.prompts.values()), "prompt")
        return f"left out {total} ({by_set}), reason: {self.reason}: {shown}"

    def to_dict(self, most: int = _LISTED) -> dict[str, Any]:
        """The same for a file, with the first ``most`` by name."""
        return {
            "reason": self.reason,
            "prompts": dict(self.prompts),
            "first": list(self.named[:most]),
        }


def sample_pairs(prompts: Sequence[Prompt], problems: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """(problem, answer) of a few prompts, evenly spaced."""
    count = min(_SAMPLES, len(prompts))
    places = [i * (len(prompts) - 1) // max(count - 1, 1) for i in range(count)]
    return tuple((problems[i], prompts[i].answer) for i in places)


def _short(text: str) -> str:
    """A text on one line, cut in the middle."""
    line = " ".join(text.split())
    if len(line) > _SHORT:
        half = (_SHORT - 5) // 2
        line = f"{line[:half]} ... {line[-half:]}"
    return repr(line)
