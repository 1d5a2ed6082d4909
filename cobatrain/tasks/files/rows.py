"""Rows of a data file, one at a time, whatever its format."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cobasim.errors import InputError


class BadRow(Exception):
    """Why one row cannot be used."""


Row = tuple[str, dict[str, Any] | BadRow]
"""("line 12" or "row 12", the row or why it cannot be read)."""

Reader = Callable[[Path, tuple[str, ...]], Iterator[Row]]
"""Reads a file. Column names, dots for nested ones, are those that are needed; () means all. Text
formats give all columns anyway. Raises InputError for a file that cannot be read at all."""


def _jsonl(path: Path, _: tuple[str, ...]) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"line {number}"
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8
                yield where, BadRow(f"not JSON ({error})")
                continue
            yield where, row if isinstance(row, dict) else BadRow("not a JSON object")


def _json(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _not_text(path, error) from error
    except (json.JSONDecodeError, RecursionError) as error:
        try:  # some sets are JSON lines under the name .json
            first = json.loads(path.open("rb").readline())
        except ValueError:
            first = None
        if isinstance(first, dict):
            yield from _jsonl(path, columns)
            return
        raise InputError(f"{path} is not JSON: {error}") from error
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else content
    if not isinstance(content, list):
        raise InputError(f"{path}: expected a JSON list of objects, got {type(content).__name__}")
    for number, row in enumerate(content, 1):
        yield f"row {number}", row if isinstance(row, dict) else BadRow("not a JSON object")


def _csv(path: Path, _: tuple[str, ...]) -> Iterator[Row]:
    csv.field_size_limit(1 << 27)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            while True:
                start = reader.line_num + 1
                try:
                    row: dict[str, Any] = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield f"line {start}", BadRow(f"not CSV ({error})")
                    return
                where = f"line {max(start, 2)}"  # the header, read first, is line 1
                if None in row or None in row.values():
                    names = len(reader.fieldnames or ())
                    yield where, BadRow(f"expected the header's {names} fields")
                else:
                    yield where, row
    except UnicodeDecodeError as error:
        raise _not_text(path, error) from error


def _not_text(path: Path, error: UnicodeDecodeError) -> InputError:
    return InputError(f"{path} is not UTF-8 text (byte {error.start}): convert it")


def _arrow(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    number = 0
    for batch in _batches(path, columns):
        for row in batch.to_pylist():
            number += 1
            yield f"row {number}", row


def _batches(path: Path, columns: tuple[str, ...]) -> Iterator[Any]:
    """Record batches of a parquet or arrow file, with the top-level columns that are needed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            file = pq.ParquetFile(path)
            names = _top_level(columns, file.schema_arrow.names)
            yield from file.iter_batches(batch_size=8192, columns=names)
            return
        with pa.memory_map(str(path)) as source:
            try:
                reader = pa.ipc.open_stream(source)
            except pa.ArrowInvalid:
                source.seek(0)
                opened = pa.ipc.open_file(source)
                reader = (opened.get_batch(i) for i in range(opened.num_record_batches))
            for batch in reader:
                names = _top_level(columns, batch.schema.names)
                yield batch.select(names) if names is not None else batch
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise InputError(f"{path} cannot be read as {path.suffix[1:]}: {error}") from error


def _top_level(columns: tuple[str, ...], names: list[str]) -> list[str] | None:
    """Those of a file's columns that hold the ones needed; None: all."""
    if not columns:
        return None
    wanted = {column.split(".")[0].lower() for column in columns}
    return [name for name in names if name.lower() in wanted]


READERS: dict[str, Reader] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _arrow,
    ".arrow": _arrow,
}
"""Suffix -> how such a file is read."""


def names_its_columns(path: Path) -> bool:
    """Whether a file's columns are known before its rows are read (parquet and arrow)."""
    return READERS[path.suffix] is _arrow
