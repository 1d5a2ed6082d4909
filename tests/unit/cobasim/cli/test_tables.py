"""Tables on the command line."""

from __future__ import annotations

import io
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from repository import ROOT
from rich.console import Console
from rich.table import Table

from cobasim.cli.common import progress_bar
from cobasim.cli.output import fitted
from cobasim.cli.sweep import summary_table

CELLS = st.sampled_from(["-", "7", "16.25", "coba", "+0.86 ± 0.04", "coba-explore-first", "a b c"])


def printed(table: Table, width: int) -> str:
    console = Console(
        width=width, file=io.StringIO(), markup=False, highlight=False, color_system=None
    )
    console.print(fitted(table, console))
    return console.file.getvalue()


@settings(max_examples=40)
@given(
    st.integers(1, 8).flatmap(
        lambda columns: st.tuples(
            st.lists(CELLS, min_size=columns, max_size=columns),
            st.lists(st.lists(CELLS, min_size=columns, max_size=columns), min_size=1, max_size=4),
        )
    ),
    st.integers(60, 120),
    st.booleans(),
)
def test_no_cell_is_cut_or_broken_however_narrow_the_terminal(content, width, no_wrap):
    headers, rows = content
    table = Table(title="numbers")
    for header in headers:
        table.add_column(header.replace(" ", "\n"), justify="right", no_wrap=no_wrap)
    for row in rows:
        table.add_row(*row)
    lines = printed(table, width).splitlines()
    assert "…" not in "".join(lines)
    assert max(map(len, lines)) <= width
    cells = iter(cell for row in rows for cell in row)
    wanted = next(cells)
    for line in lines:  # all of them, in the order of the table
        while wanted is not None and (place := line.find(wanted)) >= 0:
            line, wanted = line[place + len(wanted) :], next(cells, None)
    assert wanted is None


def table_of_two() -> Table:
    table = Table(title="two", caption="below")
    for header in ("data set and split", "level", "a number\nof it"):
        table.add_column(header, no_wrap=True)
    table.add_row("arithmetic", "all", "16.25\n14 to 18")
    table.add_row("", "[hard]", "3.5")
    return table


def test_a_table_first_wraps_its_headers_and_then_becomes_blocks():
    wide, wrapped, stacked = (printed(table_of_two(), width) for width in (80, 34, 33))
    assert "data set" in wide
    assert re.search(r"data set +┃", wrapped)
    assert "┃ and split" in wrapped
    assert "[hard]" in wrapped
    assert [line.rstrip() for line in stacked.splitlines()] == [
        "two", "",
        "data set and split  arithmetic",
        "level               all",
        "a number of it      16.25",
        "                    14 to 18",
        "",
        "data set and split  arithmetic",  # the empty first cell stands for the one above
        "level               [hard]",
        "a number of it      3.5",
        "",
        "below",
    ]  # fmt: skip


def test_a_bar_keeps_its_numbers_in_a_narrow_terminal():
    progress = progress_bar("settings")
    progress.add_task("measured world, 300 steps a run", total=1120, completed=560)
    console = Console(width=60, file=io.StringIO(), color_system=None)
    console.print(progress.get_renderable())
    assert " 560/1120 settings 0:00:00 left -:--:--" in console.file.getvalue()


def test_all_tables_are_printed_by_the_function_that_fits_them():
    for file in sorted(ROOT.glob("coba*/cli/*.py")):
        if file.name not in ("output.py", "allocators.py"):  # whose table is text
            assert not re.search(r"Console\((?!stderr)", file.read_text()), file


def test_a_difference_of_zero_ranks_between_gains_and_losses():
    rows = [
        {"kappa": kappa, "weighting": "prompt", "allocator": "coba", "heldout": 50.0,
         "heldout_±": None, "minus_uniform": difference, "minus_uniform_±": None}
        for kappa, difference in ((1, -1.0), (2, None), (3, 0.0), (4, 2.0))
    ]  # fmt: skip
    table = summary_table(rows, ["kappa"])
    assert list(table.columns[0].cells) == ["4", "3", "1", "2"]


def test_the_best_forty_are_shown():
    rows = [
        {"kappa": k, "weighting": "prompt", "allocator": "coba", "heldout": 50.0,
         "heldout_±": 1.0, "minus_uniform": float(k), "minus_uniform_±": 0.5}
        for k in range(50)
    ]  # fmt: skip
    table = summary_table(rows, ["kappa"])
    assert list(table.columns[0].cells) == [str(k) for k in range(49, 9, -1)]
    assert "the best 40 of 50" in table.title
