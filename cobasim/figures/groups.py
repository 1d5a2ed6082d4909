"""Runs as most figures draw them: by allocator, and long ones in blocks of steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cobasim.errors import InputError
from cobasim.figures.style import STYLES, label
from cobasim.records import Run
from cobasim.scores import ORACLE_PREFIX, is_oracle

Groups = Mapping[str, Sequence[Run]]
"""Runs by allocator."""

MAX_POINTS: Final = 150
"""Points of one curve over steps; longer runs are averaged over blocks of equal length."""


def by_allocator(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Group runs of one weighting: known allocators in the palette's order, oracles last.

    Raises InputError for no runs or for several weightings.
    """
    groups: dict[str, list[Run]] = {}
    weightings: set[str] = set()
    for run in runs:
        groups.setdefault(run.header.allocator, []).append(run)
        weightings.add(run.header.weighting)
    if not groups:
        raise InputError("there are no runs to draw; give at least one")
    if len(weightings) > 1:
        names = ", ".join(sorted(weightings))
        raise InputError(f"runs have the weightings {names}; draw one weighting per figure")
    known = list(STYLES)

    def place(name: str) -> tuple[bool, int, str]:
        plain = name.removeprefix(ORACLE_PREFIX)
        return is_oracle(name), known.index(plain) if plain in known else len(known), name

    return {
        name: sorted(groups[name], key=lambda run: run.header.seed)
        for name in sorted(groups, key=place)
    }


def weighting_of(groups: Groups) -> str:
    """Return "weighted per ...", for titles."""
    name = next(iter(groups.values()))[0].header.weighting
    return f"weighted per {label(name)}"


def seeds_of(groups: Groups) -> str:
    """Return how many seeds the allocators have, in words."""
    counts = {len(runs) for runs in groups.values()}
    low, high = min(counts), max(counts)
    if high == 1:
        return "one seed"
    return f"{high} seeds" if low == high else f"{low} to {high} seeds"


def block_length(steps: int) -> int:
    """Return how many steps go into one point so that ``steps`` need at most MAX_POINTS."""
    return max(-(-steps // MAX_POINTS), 1)
