"""A comparison as tables for the terminal; used by ``cobatrain`` too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from cobasim.scores import Interval, Row


LEGEND = (
    "hard set: accuracy on harder held-out prompts. curve area: mean held-out accuracy over the "
    "rollouts. match: million rollouts to reach uniform's final accuracy. mixed: trained groups "
    "with passes and failures. never mixed: visited prompts that never had such a group. Gini: of "
    "budgets, 0 if all are equal. alloc.: median time to allocate a step."
)


def comparison_tables(rows: Sequence[Row]) -> list[Table]:
    """A comparison for the terminal: accuracy under all weightings, then details of each."""
    by_weighting: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_weighting.setdefault(row.weighting, {})[row.allocator] = row
    headline = Table(
        title="Held-out accuracy at the end, %, and its difference to uniform in points\n"
        "(± half the 95 % interval, paired by seed); loss weighted per rollout, per prompt",
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    headline.add_column("allocator", no_wrap=True)
    for weighting in by_weighting:
        headline.add_column(f"{weighting} %", justify="right", no_wrap=True)
        headline.add_column("- uniform", justify="right", no_wrap=True)
    for name in dict.fromkeys(row.allocator for row in rows):
        cells = [name]
        for group in by_weighting.values():
            own = group.get(name)
            cells.append(_percent(own.heldout if own else None))
            cells.append("baseline" if own and own.baseline else _points(own))
        headline.add_row(*cells)
    details = [_details(name, group) for name, group in by_weighting.items()]
    if details:
        details[-1].caption = LEGEND
        details[-1].caption_justify = "left"
    return [headline, *details]


def _details(weighting: str, group: dict[str, Row]) -> Table:
    detail = Table(
        title=f"Details, loss weighted per {weighting}",
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    detail.add_column("allocator", no_wrap=True)
    for column in (
        "hard\nset %",
        "curve\narea %",
        "match\nM",
        "mixed\n%",
        "never\nmixed %",
        "Gini",
        "alloc.\nms",
    ):
        detail.add_column(column, justify="right", no_wrap=True)
    for name, scored in group.items():
        detail.add_row(
            name,
            _percent(scored.hard),
            _percent(scored.auc),
            _reach(scored),
            _plain(scored.mixed_share, 100, 1),
            _plain(scored.never_mixed, 100, 1),
            _plain(scored.budget_gini, 1, 2),
            _plain(scored.allocate_ms, 1, 2),
        )
    return detail


def _percent(interval: Interval | None) -> str:
    return "-" if interval is None else f"{100 * interval.mean:.2f}"


def _points(row: Row | None) -> str:
    difference = row.heldout_difference if row else None
    if difference is None:
        return "-"
    if difference.low is None or difference.high is None:
        return f"{100 * difference.mean:+.2f}"
    half = 50 * (difference.high - difference.low)
    return f"{100 * difference.mean:+.2f} ± {half:.2f}"


def _plain(value: float | None, scale: float, digits: int) -> str:
    return "-" if value is None else f"{scale * value:.{digits}f}"


def _reach(row: Row) -> str:
    if row.rollouts_to_baseline is None:
        return "never"
    share = row.reached_baseline
    seeds = "" if share is None or share == 1.0 else f" ({share:.0%})"
    return f"{row.rollouts_to_baseline / 1e6:.2f}{seeds}"
