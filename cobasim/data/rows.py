"""Rows of a data file, one at a time, whatever its format.

Text formats number lines from 1, header included; others number rows from 1. A row that cannot be
read is a ``BadRow`` that says why.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from cobasim.errors import InputError

NO_SEPARATOR = "\x1f"  # of a table with one column: whole lines are its values
BATCH = 1024  # rows of a Parquet file in memory at once: texts may be long
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


class BadRow(Exception):
    """Why one row cannot be used."""


Row = tuple[str, dict[str, Any] | BadRow]
"""("line 12" or "row 12", the row or why it cannot be read)."""

Reader = Callable[[IO[bytes], Sequence[str]], Iterator[Row]]
"""Reads an open file. The columns that are needed, dots for nested ones; none means all. Formats
that cannot leave columns out give all. Raises InputError if nothing of the file can be read."""

UNNAMED = ""
"""The column of rows that are no objects: numbers of a flat list, rows that are lists."""


def is_unnamed(row: Mapping[str, Any]) -> bool:
    """Whether a row is a value without columns; an index without a name is a column."""
    return len(row) == 1 and UNNAMED in row


def text_of(data: bytes) -> str:
    """Bytes as text. Raises InputError if they are not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"this is not UTF-8 text (byte {error.start}): convert it") from None


def read_csv(
    file: IO[bytes], columns: Sequence[str] = (), *, separator: str | None = None
) -> Iterator[Row]:
    """A table with a header. The separator is taken from the header; every row must fit it.

    Raises InputError for an empty file, for a header that names a needed column twice, and if the
    separator is in doubt.
    """
    csv.field_size_limit(1 << 27)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        first, above = text.readline(), 0
        declared = _declared_separator(first)
        while first and (not first.strip() or (declared and above == 0)):
            first, above = text.readline(), above + 1
        if not first:
            raise InputError("the file is empty: expected a header and rows")
        chosen = declared or separator or header_separator(first, columns)
        source = _Again(first, text)
        reader = csv.reader(source, delimiter=chosen, strict=True)
        names = [name.strip() for name in next(reader)]
        refuse_repeats(names, columns)
        yield from _csv_rows(reader, names, chosen, above)
    except csv.Error as error:
        raise InputError(f"malformed header: {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"this is not UTF-8 text (byte {error.start}): convert it") from None
    finally:
        text.detach()


def _declared_separator(line: str) -> str | None:
    """The separator that a first line ``sep=;`` declares, as Excel writes it."""
    name, _, mark = line.rstrip("\r\n").partition("=")
    return mark if name.lower() == "sep" and mark in SEPARATORS else None


class _Again:
    """Lines of a file whose first one was read already."""

    def __init__(self, first: str, rest: IO[str]) -> None:
        self._first: str | None = first
        self._rest = rest

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        first, self._first = self._first, None
        if first is not None:
            return first
        return next(self._rest)


def _csv_rows(reader: Any, names: list[str], separator: str, above: int) -> Iterator[Row]:
    """Rows below a header. Empty lines are no rows, but between those of one column each is one."""
    empty: list[Row] = []  # lines that are rows if another row follows
    while True:
        start = above + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            end = above + reader.line_num
            lost = f", and with it all up to line {end}" if end > start else ""
            yield f"line {start}", BadRow(f"not CSV ({error}){lost}")
            continue
        where = f"line {start}"
        if not cells or (len(names) > 1 and cells == [""]):
            if len(names) == 1:
                empty.append((where, {names[0]: ""}))
            continue
        yield from empty
        empty.clear()
        if len(cells) == len(names):
            yield where, dict(zip(names, cells, strict=True))
            continue
        hint = "a decimal comma, or text with a comma that is not quoted?"
        yield (
            where,
            BadRow(
                f"{len(cells)} fields, but the header has {len(names)}"
                + (f" ({hint})" if separator == "," and len(cells) > len(names) else "")
            ),
        )


def header_separator(header: str, columns: Sequence[str] = ()) -> str:
    """What separates the names of a header: the one separator in it, or the one that fits.

    Raises InputError if several fit.
    """
    present = [mark for mark in SEPARATORS if mark in header]
    names = header.lower().split()
    if not present and len(names) > 1 and header.strip().lower() not in top_names(columns):
        named = [name for name in names if name in top_names(columns)]
        if named:
            raise InputError(
                f"the header {header.strip()[:60]!r} is one column, which is not {named[0]!r}: "
                "separate columns by commas, semicolons, bars or tabs, not spaces"
            )
    if len(present) <= 1:
        return present[0] if present else NO_SEPARATOR
    wanted = top_names(columns)

    def names_by(mark: str) -> set[str]:
        cells = next(csv.reader([header], delimiter=mark))
        return {cell.strip().lower() for cell in cells}

    fitting = [mark for mark in present if wanted & names_by(mark)] or present
    if len(fitting) > 1 and "," in fitting:
        return ","
    if len(fitting) > 1:
        words = " and ".join(SEPARATORS[mark] for mark in fitting)
        raise InputError(f"the header has {words}: which of them separate columns is in doubt")
    return fitting[0]


def refuse_repeats(names: Sequence[str], columns: Sequence[str]) -> None:
    """Raise InputError if a column that is needed stands twice."""
    needed = top_names(columns)
    for name, times in Counter(names).items():
        if times > 1 and (name.lower() in needed if needed else name or not any(names)):
            raise InputError(f"the column {name!r} stands twice: rename one of them")


def top_names(columns: Sequence[str]) -> set[str]:
    """Names, in small letters, that columns may have at the top: their own, or their first part."""
    return {
        name.lower() for column in columns for name in (column, column.split(".", maxsplit=1)[0])
    }


def read_parquet(file: IO[bytes], columns: Sequence[str] = ()) -> Iterator[Row]:
    """A Parquet file, in batches, with the top-level columns that are needed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with arrow_errors("Parquet"):
        source = pa.PythonFile(file, mode="r")
        # pages are read as they are needed, not whole columns ahead
        table = pq.ParquetFile(source, buffer_size=1 << 20, pre_buffer=False)
        names = top_level(columns, table.schema_arrow.names)
        yield from _numbered(table.iter_batches(batch_size=BATCH, columns=names))


def read_arrow(file: IO[bytes], columns: Sequence[str] = ()) -> Iterator[Row]:
    """An Arrow file or stream (also Feather), with the top-level columns that are needed."""
    with arrow_errors("Arrow"):
        batches = arrow_batches(file)
        yield from _numbered(
            batch if (names := top_level(columns, batch.schema.names)) is None
            else batch.select(names)
            for batch in batches
        )  # fmt: skip


def arrow_batches(file: IO[bytes]) -> Iterator[Any]:
    """Record batches of an Arrow stream or file."""
    import pyarrow as pa

    source = pa.PythonFile(file, mode="r")
    try:
        yield from pa.ipc.open_stream(source)
    except pa.ArrowInvalid:
        source.seek(0)
        opened = pa.ipc.open_file(source)
        yield from (opened.get_batch(number) for number in range(opened.num_record_batches))


class arrow_errors:
    """Turns errors of pyarrow inside into one InputError."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import pyarrow as pa

        if isinstance(error, (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError)):
            reason = str(error).splitlines()[0]
            raise InputError(f"this is not {self.kind} that can be read: {reason}") from None


def _numbered(batches: Iterator[Any]) -> Iterator[Row]:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield f"row {number}", row


def top_level(columns: Sequence[str], names: Sequence[str]) -> list[str] | None:
    """Those of a file's columns that hold the ones needed; None: all.

    Raises InputError if one of them stands twice.
    """
    refuse_repeats(names, columns)
    if not columns:
        return None
    needed = top_names(columns)
    return [name for name in names if name.lower() in needed]
