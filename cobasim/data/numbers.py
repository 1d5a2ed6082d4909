"""Files that hold nothing but numbers: plain text, .npy, .npz."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from cobasim.data.rows import SEPARATORS, UNNAMED, Row, read_csv, text_of
from cobasim.errors import InputError

NO_NAME = "arr_0"  # what np.savez calls an array that was given no name

_SEPARATOR = re.compile(r"\s*,\s+|\s+")


def read_plain(file: IO[bytes], columns: Sequence[str] = ()) -> Iterator[Row]:
    """Numbers separated by spaces or lines; or, if the first line is a header, a table.

    A comma separates numbers only if a space follows it: ``0,1`` may be one number or two. An
    empty place between commas, and an empty line between others, is a number that is missing.
    """
    data = file.read()
    text = text_of(data)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if _is_header(first):
        yield from read_csv(io.BytesIO(data), columns)
        return
    started = False
    for number, line in enumerate(text.rstrip().splitlines(), 1):
        started = started or bool(line.strip())
        if started:
            for cell in _SEPARATOR.split(line.strip().removesuffix(",").rstrip()):
                yield f"line {number}", {UNNAMED: cell}


def _is_header(line: str) -> bool:
    """Whether a line names columns: words that are no numbers, alone or separated."""
    cells = [cell for cell in re.split(r"[,;|\s]+", line.strip()) if cell]
    words = [cell for cell in cells if re.search(r"[^\W\d_]", cell) and not _is_number(cell)]
    separated = any(mark in line for mark in SEPARATORS)
    return bool(words) and (separated or len(words) == len(cells))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.lower() in ("null", "none", "na", "n/a")
    return True


def read_npy(file: IO[bytes], _: Sequence[str] = ()) -> Iterator[Row]:
    """A flat array."""
    array = _array(file, ".npy")
    if hasattr(array, "files"):
        raise InputError("this is an archive of arrays: name it .npz")
    yield from _rows({UNNAMED: array})


def read_npz(file: IO[bytes], columns: Sequence[str] = ()) -> Iterator[Row]:
    """Flat arrays of one length, by name; numpy's own name for a single one is no name."""
    stored = _array(file, ".npz")
    if not hasattr(stored, "files"):
        raise InputError("this is not a .npz file of arrays")
    wanted = {column.lower() for column in columns}
    names = [name for name in stored.files if not wanted or name.lower() in wanted]
    names = names or list(stored.files)
    try:
        arrays = {name: stored[name] for name in names}
    except Exception as error:
        raise InputError(f"an array of the .npz file cannot be read: {error}") from None
    if list(arrays) == [NO_NAME] and len(stored.files) == 1 and NO_NAME not in wanted:
        arrays = {UNNAMED: arrays[NO_NAME]}
    sizes = {name: array.shape for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"the arrays differ in shape: {sizes}")
    yield from _rows(arrays)


def _array(file: IO[bytes], kind: str) -> Any:
    try:
        return np.load(file, allow_pickle=False)
    except Exception as error:  # its header is parsed as Python literals: anything may come
        raise InputError(f"this is not a {kind} file of numbers: {error}") from None


def _rows(arrays: dict[str, Any]) -> Iterator[Row]:
    for name, array in arrays.items():
        if array.ndim != 1:
            what = f"array {name!r}" if name else "array"
            raise InputError(f"the {what} has the shape {array.shape}, expected a flat one")
    columns = [array.tolist() for array in arrays.values()]
    for number, values in enumerate(zip(*columns, strict=True), 1):
        yield f"row {number}", dict(zip(arrays, values, strict=True))
