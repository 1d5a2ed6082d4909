"""Files of measured pass rates: .json, .csv, .npy, .parquet, or standard input."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray, as_pass_rates
from cobasim.errors import InputError

COLUMN = "pass_rate"


def read_pass_rates(source: str) -> FloatArray:
    """Pass rates (m,), each in [0, 1], from a file or from standard input (``-``).

    .json: a list of numbers, or of objects with ``pass_rate``, or an object with such a list.
    .csv and .parquet: a column ``pass_rate``. .npy: a flat array. Standard input: JSON, CSV with
    a header, or plain numbers. Raises InputError when the content cannot be used, naming the line
    where there is one, and OSError when the file cannot be read.
    """
    if source == "-":
        return _named("standard input", lambda: _from_text(_standard_input()))
    path = Path(source)
    if not path.exists():
        raise InputError(f"no such file: {source}")
    if path.is_dir():
        raise InputError(f"{source} is a folder; give a .json, .csv, .npy or .parquet file")
    readers = {
        ".json": lambda: _from_json(_text(path)),
        ".csv": lambda: _from_csv(_text(path)),
        ".npy": lambda: _from_npy(path),
        ".parquet": lambda: _from_parquet(path),
    }
    if path.suffix.lower() not in readers:
        raise InputError(
            f"{source}: cannot read {path.suffix or 'a file without an ending'}; give "
            f"{', '.join(readers)} or - for standard input"
        )
    return _named(source, readers[path.suffix.lower()])


def _named(name: str, read: Callable[[], Any]) -> FloatArray:
    try:
        return as_pass_rates(read())
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except OSError:
        raise
    except Exception as error:  # a damaged file can break a reader in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{name} cannot be read: {reason}") from error


def _standard_input() -> str:
    if sys.stdin is None:
        raise InputError("it is closed; pipe pass rates into it, or name a file")
    try:
        return sys.stdin.read().removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise InputError("this is no text in UTF-8") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("this is no text file in UTF-8") from None


def _from_text(text: str) -> Any:
    stripped = text.lstrip()
    if not stripped:
        raise InputError("nothing to read: give at least one pass rate")
    if stripped[0] in "[{":
        return _from_json(text)
    if COLUMN in stripped.splitlines()[0]:
        return _from_csv(text)
    return _numbers(text.replace(",", " ").split(), "number")


def _from_json(text: str) -> Any:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"malformed JSON at line {error.lineno}: {error.msg}") from None
    if isinstance(content, dict):
        if COLUMN not in content:
            raise InputError(f"expected a list, or an object with {COLUMN!r}")
        content = content[COLUMN]
    if not isinstance(content, list):
        raise InputError(f"expected a list of pass rates, got {type(content).__name__}")
    return _numbers([row.get(COLUMN) if isinstance(row, dict) else row for row in content], "entry")


def _from_csv(text: str) -> Any:
    rows = csv.DictReader(io.StringIO(text))
    try:
        names = [name.strip() for name in rows.fieldnames or ()]
        if not names:
            raise InputError(f"the file is empty: expected a header with a column {COLUMN!r}")
        if COLUMN not in names:
            raise InputError(f"no column {COLUMN!r} in the header ({', '.join(names)})")
        rows.fieldnames = names
        return _numbers([row[COLUMN] for row in rows], "row")
    except csv.Error as error:
        raise InputError(f"malformed CSV at line {rows.reader.line_num}: {error}") from None


def _from_npy(path: Path) -> Any:
    with path.open("rb") as file:
        try:
            return np.load(file, allow_pickle=False)
        except Exception as error:  # its header is parsed as Python literals: anything may come
            raise InputError(f"this is no .npy file of numbers: {error}") from None


def _from_parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except pa.ArrowInvalid as error:
        raise InputError(f"this is no Parquet file: {str(error).splitlines()[0]}") from None
    if COLUMN not in table.column_names:
        raise InputError(f"no column {COLUMN!r} (there are: {', '.join(table.column_names)})")
    return _numbers(table.column(COLUMN).to_pylist(), "row")


def _numbers(values: list[Any], what: str) -> list[float]:
    """Floats of ``values``; the first that is none is named by its number, from 1."""
    numbers = []
    for number, value in enumerate(values, start=1):
        try:
            if isinstance(value, (bool, list, dict)):
                raise TypeError
            numbers.append(float(value))
        except (TypeError, ValueError):
            raise InputError(f"{what} {number} is no number: {value!r}") from None
    return numbers
