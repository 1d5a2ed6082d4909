"""What commands print, and the bars they show while runs go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from cobasim.cli.common import interruptible, progress_bar
from cobasim.errors import InputError

if TYPE_CHECKING:
    from cobasim.runs import Measure, Sweep


def resumable(folder: Path) -> AbstractContextManager[None]:
    """Ctrl-C inside says that runs are kept in a folder, and how to resume."""
    return interruptible(f"finished runs are kept in {folder}; the same command resumes there")


@contextmanager
def run_bar(text: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar over runs; gives a function that takes how many were just stored."""
    with progress_bar() as progress:
        bar = progress.add_task(text, total=total)
        yield lambda number: progress.advance(bar, number)


def check_number(total: int, *, yes: bool) -> None:
    """Raise InputError for very many runs, unless ``yes``."""
    from cobasim.runs import MOST_RUNS

    if total > MOST_RUNS and not yes:
        raise InputError(f"{total} runs are more than {MOST_RUNS}; add --yes to run them")


def run_experiment(
    sweep: Sweep, folder: Path, *, yes: bool, jobs: int | None, measure: Measure | None = None
) -> list[dict[str, Any]]:
    """Run what is missing of an experiment of one sweep, with a bar; returns its rows."""
    from cobasim.experiments import claim_parts, num_runs, run_parts

    parts = {"": sweep}
    total = num_runs(parts)
    check_number(total, yes=yes)
    claim_parts(parts, folder)
    with run_bar(f"{len(sweep.points)} points", total) as advance:
        return run_parts(parts, folder, jobs=jobs, on_finished=advance, measure=measure)


def say(*lines: str, wrap: bool = True) -> None:
    """Print plain lines; without ``wrap`` they are not broken at the width of the terminal."""
    console = Console()
    for line in lines:
        line = line.encode("utf-8", "backslashreplace").decode()  # names of files may be any bytes
        console.print(line, highlight=False, markup=False, soft_wrap=not wrap)


def say_files(files: Mapping[str, Path | str]) -> None:
    """Print what was written: what it is, and where."""
    width = max(len(name) for name in files)
    say(*(f"{name:{width}} {file}" for name, file in files.items()), wrap=False)


def narrow_table(title: str, **options: Any) -> Table:
    """A table whose columns are set apart by its box alone, so that many fit in 80 characters."""
    return Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=0, **options)


def short(value: object) -> str:
    """A value as a cell of a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Seconds as text."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
