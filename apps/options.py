"""What the app was started with: its folder of runs, and allocators from outside."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cobasim.allocation import ALLOCATORS, one_shot


@dataclass(frozen=True)
class Options:
    """What the app was started with.

    Attributes:
        runs: the folder in which runs are looked for and saved.
        shown: that folder as it was given.
        run: the run to open first.
        allocators: import paths of further allocators. Only whoever starts the app may name code
            to be imported: never an address or a widget.
    """

    runs: Path
    shown: str
    run: Path | None = None
    allocators: tuple[str, ...] = ()


def options() -> Options:
    """The app's own options, after ``--`` on Streamlit's command line."""
    return _options(tuple(sys.argv[1:]))


@cache
def _options(arguments: tuple[str, ...]) -> Options:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--run")
    parser.add_argument("--allocator", action="append", default=[])
    given, _ = parser.parse_known_args(list(arguments))
    run = None if given.run is None else Path(given.run).resolve()
    folder, shown = Path(given.runs).resolve(), given.runs
    if run is not None and not run.is_relative_to(folder):
        folder, shown = run.parent, str(Path(given.run).parent)
    return Options(folder, shown, run, tuple(given.allocator))


def allocator_names(*, one_batch: bool = False) -> list[str]:
    """Registered allocators in the order of the registry, then those the app was started with.

    one_batch: only those whose budgets follow from an observation alone (``one_shot``).
    """
    further = [name for name in options().allocators if name not in ALLOCATORS]
    names = [*ALLOCATORS, *further]
    return one_shot(names) if one_batch else names
