"""What commands print, and the bars they show while runs go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Column, Table
from rich.text import Text

from cobasim.cli.common import command_text, interruptible, progress_bar
from cobasim.errors import InputError

if TYPE_CHECKING:
    from cobasim.runs import Measure, Sweep


def resumable(folder: Path, command: str | None = None) -> AbstractContextManager[None]:
    """Ctrl-C inside says that runs are kept in a folder, and which ``command`` resumes there.

    None: the command that is running.
    """
    how = "the same command resumes there" if command is None else f"to resume there: {command}"
    return interruptible(f"finished runs are kept in {folder}; {how}")


def dated_folder(out: str | None, kind: str, program: str = "cobasim") -> tuple[Path, str | None]:
    """The folder of ``--out``, and None; without it a new one, ``runs/KIND-TIME``, and the command
    that resumes there.
    """
    if out is not None:
        return Path(out), None
    folder = f"runs/{kind}-{datetime.now():%Y%m%d-%H%M%S}"
    return Path(folder), command_text(program, "--out", folder)


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


def show(*tables: Table) -> None:
    """Print tables of plain text; one that the terminal has no room for is stacked.

    No cell is ever cut or broken: a table that is too wide first gives way in the words of its
    headers. If that is not enough, each row becomes a block of lines, one a cell with its header.
    """
    console = Console(markup=False, highlight=False)  # names may hold brackets
    for table in tables:
        console.print(fitted(table, console))


def fitted(table: Table, console: Console) -> Table | Group:
    """The table as it is, with its headers wrapped, or stacked: what the console has room for."""
    if _width(table, console) <= console.width:
        return table
    wrapped = copy(table)
    wrapped.columns = [
        replace(column, no_wrap=False, width=_least_width(column)) for column in table.columns
    ]
    return wrapped if _width(wrapped, console) <= console.width else _stacked(table)


def _width(table: Table, console: Console) -> int:
    """Characters that the table would take in a terminal of any width."""
    return console.measure(table, options=console.options.update(width=10_000)).maximum


def _least_width(column: Column) -> int:
    """The longest word of the header, or line of a cell."""
    lines = [line for cell in column.cells for line in str(cell).splitlines()]
    return max(map(cell_len, [*str(column.header).split(), *lines]), default=1)


def _stacked(table: Table) -> Group:
    """A block of lines for each row. An empty first cell stands for the one above it."""
    blocks = Table.grid(padding=(0, 2, 0, 0))
    blocks.add_column(overflow="fold")
    blocks.add_column(overflow="fold")
    headers = [" ".join(str(column.header).split()) for column in table.columns]
    first = ""
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        first, *others = str(cells[0]) or first, *map(str, cells[1:])
        for header, cell in zip(headers, [first, *others], strict=True):
            if cell:
                blocks.add_row(header, cell)
        blocks.add_row()
    title, caption = (Text(str(text or "")) for text in (table.title, table.caption))
    return Group(*([title, Text()] if title else []), blocks, *([caption] if caption else []))


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
