"""The rows of a log's files, one at a time, and what could not be read of them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from cobasim.data import UNNAMED, BadRow, ending_of, read_jsonl, read_rows
from cobasim.errors import InputError
from cobasim.importing.finding import LINES, LogFile

_OFTEN = 256  # lines between two reports of progress


class LogRow(NamedTuple):
    """One row of a log, or why it cannot be read; ``where``: "line 12" or "row 12"."""

    file: LogFile
    where: str
    row: dict[str, Any] | BadRow

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.file.path}, {self.where}"


class LogReader:
    """Reads the files of a log in order.

    Args:
        files: of the log.
        columns: those that are needed; formats that cannot leave columns out give all.
        on_bytes: gets the number of bytes just read, as stored.

    Attributes:
        rows_read: rows so far, whatever they hold.
        cut: files that end in the middle of a row; that row is left out.
        empty: files without rows.
    """

    def __init__(
        self,
        files: Sequence[LogFile],
        columns: Sequence[str] = (),
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.files, self.columns, self.on_bytes = files, columns, on_bytes
        self.rows_read = 0
        self.cut: list[Path] = []
        self.empty: list[Path] = []

    def __iter__(self) -> Iterator[LogRow]:
        """All rows. Raises InputError, naming the file, if one cannot be read at all."""
        for file in self.files:
            before = self.rows_read
            read = self._lines if ending_of(file.path) in LINES else self._table
            for row in read(file):
                self.rows_read += 1
                yield row
            if self.rows_read == before:
                self.empty.append(file.path)

    def _lines(self, file: LogFile) -> Iterator[LogRow]:
        """JSON lines. The last one may be cut off, where the writer was killed."""
        try:
            with file.path.open("rb") as raw:
                lines = _Lines(raw, file.path.name.lower().endswith(".gz"), self.on_bytes)
                held: LogRow | None = None  # a bad row: only at the end may it be a cut one
                for where, row in read_jsonl(lines):
                    if held is not None:
                        yield held
                        held = None
                    if isinstance(row, dict) and list(row) == [UNNAMED]:
                        row = BadRow("not a JSON object")
                    if isinstance(row, BadRow):
                        held = LogRow(file, where, row)
                    else:
                        yield LogRow(file, where, row)
                cut = held is not None and not lines.whole
                if held is not None and not cut:
                    yield held
                if cut or lines.broken_off:
                    self.cut.append(file.path)
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{file.path}: damaged compression: {error}") from None

    def _table(self, file: LogFile) -> Iterator[LogRow]:
        for where, row in read_rows(file.path, self.columns):
            yield LogRow(file, where, row)
        self.on_bytes(file.path.stat().st_size)


class _Lines:
    """Lines of a file, compressed or not; knows whether the last one is whole.

    Attributes:
        whole: whether the last line that was given ends in a line break.
        broken_off: whether the compressed data ended too early.
    """

    def __init__(self, raw: IO[bytes], compressed: bool, on_bytes: Callable[[int], None]) -> None:
        self._raw, self._on_bytes = raw, on_bytes
        self._file: Any = gzip.GzipFile(fileobj=raw) if compressed else raw
        self._told = 0
        self.whole = True
        self.broken_off = False

    def __iter__(self) -> Iterator[bytes]:
        number = 0
        try:
            for line in self._file:
                self.whole = line.endswith(b"\n")
                yield line
                number += 1
                if number % _OFTEN == 0:
                    self._tell()
        except EOFError:
            self.broken_off = True
        self._tell()

    def _tell(self) -> None:
        now = self._raw.tell()
        self._on_bytes(now - self._told)
        self._told = now
