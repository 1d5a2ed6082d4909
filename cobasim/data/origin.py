"""Where rows come from: a file, a dataset folder, or standard input."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property

from cobasim.data.files import data_files, read_rows, reader_of_bytes
from cobasim.data.rows import Row
from cobasim.errors import InputError
from cobasim.files import or_example


class Origin:
    """Rows that can be gone through again, with other columns.

    Args:
        source: a path, or ``-`` for standard input.
        split: of a dataset folder with several.
    """

    def __init__(self, source: str, split: str | None = None) -> None:
        self.source, self.split = source, split
        self.name = "standard input" if source == "-" else source

    def rows(self, columns: Sequence[str] = ()) -> Iterator[Row]:
        """All rows; see ``read_rows``. Raises InputError."""
        if self.source == "-":
            if self.split is not None:
                raise InputError(f"it has no splits: leave out split ({self.split!r})")
            data = self._standard_input
            yield from reader_of_bytes(data)(io.BytesIO(data), columns)
            return
        files = data_files(or_example(self.source), self.split)
        for file in files:
            for where, row in read_rows(file, columns):
                yield (where if len(files) == 1 else f"{file.name}, {where}"), row

    @cached_property
    def _standard_input(self) -> bytes:
        if sys.stdin is None:
            raise InputError("it is closed; pipe rows into it, or name a file")
        data = sys.stdin.buffer.read()
        if not data.strip():
            raise InputError("nothing to read: give at least one row")
        return data
