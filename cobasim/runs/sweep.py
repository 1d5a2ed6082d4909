"""The plan of a sweep: many comparisons, one for each point of a grid or a sample of settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cobasim.errors import InputError
from cobasim.runs.compare_config import CompareConfig, plan, settle, with_pool
from cobasim.runs.config import RunConfig
from cobasim.runs.parameters import Point
from cobasim.settings import validated

MOST_RUNS = 20_000
"""Larger plans need ``--yes``."""


@dataclass(frozen=True)
class Sweep:
    """A plan: points, and the comparison that each of them changes.

    Attributes:
        preset: of ``cobasim compare``.
        settings, chosen: what holds at every point, as for ``settle``.
        points: settings by flat name; they win over ``settings`` and ``chosen``.
    """

    preset: str
    settings: dict[str, Any]
    chosen: dict[str, Any]
    points: tuple[Point, ...]

    def config(self, point: Point) -> CompareConfig:
        """The comparison of a point. Raises InputError, naming the point, for bad settings."""
        chosen = {name: value for name, value in self.chosen.items() if name not in point}
        try:
            values = settle(self.preset, self.settings | point, **chosen)
            return with_pool(validated(CompareConfig, values))
        except InputError as error:
            shown = ", ".join(f"{name}={value}" for name, value in point.items())
            raise InputError(f"at {shown}: {error}" if shown else str(error)) from None

    def runs(self) -> Iterator[tuple[int, Point, RunConfig]]:
        """(number of the point, point, run) in the order of the table."""
        for number, point in enumerate(self.points):
            for run in plan(self.config(point)):
                yield number, point, run

    @property
    def num_runs(self) -> int:
        """Runs of the whole plan; every point is checked."""
        return sum(self.config(point).num_runs for point in self.points)

    @property
    def names(self) -> list[str]:
        """Names of the settings that points change."""
        return list(dict.fromkeys(name for point in self.points for name in point))

    def to_json(self) -> str:
        """The text of the plan, by which a folder belongs to it."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"
