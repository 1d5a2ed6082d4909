"""How often advice would have been right about real conditions that it did not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from cobasim.experiments.advice.advice import Option, decide, option
from cobasim.experiments.advice.known_runs import LEVEL, SEEDS, Known, chooses, fit
from cobasim.runs import BASELINE


@dataclass(frozen=True)
class Checked:
    """A condition that was left out of the fit.

    Attributes:
        condition: its name.
        arms: allocators and weightings.
        inside: arms whose real difference, a mean over four seeds, lies in the interval, widened by
            its own noise at the same level.
        half: half of the mean interval, in points.
        recommended: by weighting: the allocator, its real difference, and half of the 95 %
            interval of that; uniform has (0, 0).
    """

    condition: str
    arms: int
    inside: int
    half: float
    recommended: dict[str, tuple[str, float, float]]

    @property
    def harmful(self) -> int:
        """Recommendations that were below uniform beyond the noise."""
        return sum(real < -half for _, real, half in self.recommended.values())


def coverage(rows: Sequence[Known]) -> list[Checked]:
    """Each condition in turn, by an error that was fitted to the others.

    ``rows`` are of one kind and of at least two conditions.
    """
    table = []
    for name in dict.fromkeys(row.condition for row in rows):
        found: list[tuple[Known, Option]] = []
        for choosing in (False, True):
            kind = [row for row in rows if chooses(row.allocator) == choosing]
            own = [row for row in kind if row.condition == name]
            if own:
                error = fit(row for row in kind if row.condition != name)
                found += [(r, option(error, r.allocator, r.predicted, r.spread)) for r in own]
        table.append(
            Checked(
                name,
                len(found),
                sum(_inside(row, expected) for row, expected in found),
                float(np.mean([(o.high - o.low) / 2 for _, o in found])),
                {w: _recommended(w, found) for w in dict.fromkeys(r.weighting for r, _ in found)},
            )
        )
    return table


def _inside(row: Known, expected: Option) -> bool:
    """Whether a real difference lies in an interval of advice, its own noise allowed for."""
    half = (expected.high - expected.low) / 2
    own = row.error * float(special.stdtrit(SEEDS - 1, (1 + LEVEL) / 2))
    return abs(row.real - expected.mean) <= float(np.hypot(half, own))


def _recommended(weighting: str, found: Sequence[tuple[Known, Option]]) -> tuple[str, float, float]:
    """What would have been recommended, and what came of it."""
    own = {row.allocator: (row, o) for row, o in found if row.weighting == weighting}
    name = decide([o for _, o in own.values()])
    return (name, 0.0, 0.0) if name == BASELINE else (name, own[name][0].real, own[name][0].half)
