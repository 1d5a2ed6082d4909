"""Rows of a comparison -> the texts of its tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cobasim.figures import colour_of
from cobasim.scores import Interval, Row


@dataclass(frozen=True)
class Cell:
    """A number as text, with its interval or another remark."""

    text: str
    note: str = ""
    bold: bool = False


@dataclass(frozen=True)
class Column:
    """One score; ``{baseline}`` in ``head`` stands for the baseline's name."""

    head: str
    unit: str
    cell: Callable[[Row], Cell | None]
    """The text of a row; None if it was not measured."""


@dataclass(frozen=True)
class Line:
    """One allocator: its cells under each weighting."""

    allocator: str
    oracle: bool
    colour: str
    cells: list[list[Cell | None]]


@dataclass(frozen=True)
class ScoreTable:
    """Allocators as lines and, for each weighting, the same columns side by side."""

    weightings: Sequence[str]
    heads: list[tuple[str, str]]
    """Head and unit of each column."""
    lines: list[Line]


def score_table(
    rows: Sequence[Row], columns: Sequence[Column], weightings: Sequence[str]
) -> ScoreTable:
    """Put the rows of some weightings into one table."""
    by_key = {(row.weighting, row.allocator): row for row in rows}
    baseline = next((row.allocator for row in rows if row.baseline), "baseline")
    oracles = {row.allocator: row.oracle for row in rows if row.weighting in weightings}
    lines = []
    for allocator, oracle in oracles.items():
        own = [by_key.get((weighting, allocator)) for weighting in weightings]
        cells = [[None if row is None else column.cell(row) for column in columns] for row in own]
        lines.append(Line(allocator, oracle, colour_of(allocator), cells))
    heads = [(column.head.format(baseline=baseline), column.unit) for column in columns]
    return ScoreTable(weightings, heads, lines)


# --- cells -----------------------------------------------------------------------------------


def _number(value: float | None, digits: int = 2, scale: float = 1.0) -> Cell | None:
    return None if value is None else Cell(f"{scale * value:,.{digits}f}")


def _level(interval: Interval | None) -> Cell | None:
    """A share in %, with the half width of its interval."""
    if interval is None:
        return None
    half = "" if interval.high is None else f"± {100 * (interval.high - interval.mean):.2f}"
    return Cell(f"{100 * interval.mean:.2f}", half)


def _difference(interval: Interval | None) -> Cell | None:
    """A difference in points with its interval; bold where that excludes zero."""
    if interval is None:
        return None
    text = _signed(interval.mean)
    if interval.low is None or interval.high is None:
        return Cell(text)
    return Cell(
        text,
        f"[{_signed(interval.low)}, {_signed(interval.high)}]",
        bold=interval.low > 0 or interval.high < 0,
    )


def _signed(share: float) -> str:
    return f"{100 * share:+.2f}".replace("-", "−")


def _reach(row: Row) -> Cell | None:
    """Rollouts to the baseline's final accuracy, and how many seeds get there if not all do."""
    if row.rollouts_to_baseline is None:
        return Cell("not reached") if row.reached_baseline == 0 else None
    share = 1.0 if row.reached_baseline is None else row.reached_baseline
    note = f"{100 * share:.0f} % of seeds" if share < 1 else ""
    return Cell(_compact(row.rollouts_to_baseline), note)


def _compact(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


HEADLINE: Final = (
    Column("final held-out", "%", lambda row: _level(row.heldout)),
    Column(
        "minus {baseline}",
        "points, 95 %",
        lambda row: Cell("baseline") if row.baseline else _difference(row.heldout_difference),
    ),
    Column("rollouts to {baseline}’s final", "", _reach),
)
"""The columns that decide."""

FURTHER: Final = (
    Column("hard set", "%", lambda row: _level(row.hard)),
    Column("area under curve", "%", lambda row: _level(row.auc)),
    Column(
        "area minus {baseline}",
        "points, 95 %",
        lambda row: Cell("baseline") if row.baseline else _difference(row.auc_difference),
    ),
    Column("mixed groups", "%", lambda row: _number(row.mixed_share, 1, scale=100)),
    Column("never mixed", "% of prompts", lambda row: _number(row.never_mixed, 1, scale=100)),
    Column("budget Gini", "0 to 1", lambda row: _number(row.budget_gini)),
    Column("allocation", "ms per step", lambda row: _number(row.allocate_ms, 3)),
    Column("rollouts", "per run", lambda row: Cell(_compact(row.rollouts))),
)
"""The columns that explain."""
