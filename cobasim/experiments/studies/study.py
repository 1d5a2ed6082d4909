"""What a study is: a question, a plan, and a pure function from rows to an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from cobasim.runs import Measure, Sweep
from cobasim.scores import Rows

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Size:
    """How large the runs of a preset are; 16 rollouts a prompt on average."""

    seeds: int
    steps: int
    batch: int = 128
    pool: int = 2048
    heldout: int = 1000


SIZES: dict[str, Size] = {
    "tiny": Size(seeds=2, steps=8, batch=16, pool=96, heldout=64),
    "quick": Size(seeds=6, steps=120),
    "full": Size(seeds=16, steps=150),
}
"""Presets; "tiny" only shows that everything works."""


@dataclass(frozen=True)
class Options:
    """What a plan may depend on.

    Attributes:
        preset: a name in SIZES.
        allocators: further ones, where the study compares allocators.
        world, settings: for a study of a world that is given, such as a measured one; settings by
            flat name.
    """

    preset: str = "quick"
    allocators: tuple[str, ...] = ()
    world: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> Size:
        """The preset's sizes."""
        return SIZES[self.preset]

    def pick(self, quick: Any, full: Any, tiny: Any = None) -> Any:
        """A value, other than a size, for each preset; "tiny" is as "quick" by default."""
        if self.preset == "tiny" and tiny is not None:
            return tiny
        return full if self.preset == "full" else quick

    def names(self, *allocators: str) -> tuple[str, ...]:
        """The study's own allocators, then those that were asked for."""
        return tuple(dict.fromkeys((*allocators, *self.allocators)))


def grouped(rows: Rows, *columns: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by their values in some columns, in the order in which these come up."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in columns), []).append(row)
    return groups


@dataclass(frozen=True)
class Table:
    """A table of texts, ready to be shown."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Answer:
    """What a study found.

    Attributes:
        conclusion: sentences, computed from the numbers.
        tables, figures: the evidence.
        numbers: plain values behind them.
    """

    conclusion: list[str]
    tables: list[Table]
    figures: list[go.Figure]
    numbers: Any = field(default_factory=list)


@dataclass(frozen=True)
class Study:
    """One open question.

    Attributes:
        name: of the command.
        question: in one line.
        answer: rows -> Answer, pure.
        plan: sweeps by name of the part; their rows get a column ``part``.
        compute: makes the rows of a study that is not a sweep, with so many processes at a time.
        measure: further columns of each run's row.
        open_to_more: whether ``Options.allocators`` take part.
        needs_world: whether it is about the world in ``Options``; else it has its own worlds.
        notes: what a reader must know (mappings, limits).
    """

    name: str
    question: str
    answer: Callable[[Rows], Answer]
    plan: Callable[[Options], dict[str, Sweep]] = lambda _: {}
    compute: Callable[[Options, int | None], list[dict[str, Any]]] = lambda _, __: []
    measure: Measure | None = None
    open_to_more: bool = True
    needs_world: bool = False
    notes: tuple[str, ...] = ()
