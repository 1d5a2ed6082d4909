"""Writing run directories, so that a reader always finds whole lines."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from cobasim.errors import InputError
from cobasim.files import write_atomically
from cobasim.records.header import RunHeader
from cobasim.records.run import HEADER_FILE, STEPS_FILE, parse_steps, read_header, whole_lines
from cobasim.records.step import StepRecord


class RunExistsError(InputError):
    """The directory for a new run holds something already; runs are never overwritten."""


class RunWriter:
    """Writes one run directory; a context manager.

    Raises RunExistsError if the directory holds anything, OSError (with the path) when the
    disk refuses; a directory that could not be started is not left behind.
    """

    path: Path
    header: RunHeader

    def __init__(self, path: str | os.PathLike[str], header: RunHeader) -> None:
        self.path = Path(path)
        self.header = header
        text = header.to_json()
        created = _claim(self.path)
        try:
            write_atomically(self.path / HEADER_FILE, text + "\n")
            self._open(last_step=-1)
        except OSError:
            with contextlib.suppress(OSError):
                (self.path / HEADER_FILE).unlink(missing_ok=True)
                if created:
                    self.path.rmdir()
            raise

    @classmethod
    def resume(cls, path: str | os.PathLike[str], step: int) -> RunWriter:
        """Open an existing run to go on after ``step``: keeps the records with step <= step.

        A partial last line and all later records are cut off.  Raises ValueError if the
        directory is not a run or a kept line is malformed.
        """
        writer = cls.__new__(cls)
        writer.path = Path(path)
        writer.header = read_header(path)
        file = writer.path / STEPS_FILE
        data = whole_lines(file)
        records = parse_steps(data, file)
        kept = sum(record.step <= step for record in records)
        length = 0
        for _ in range(kept):
            length = data.index(b"\n", length) + 1
        writer._open(last_step=records[kept - 1].step if kept else -1)
        os.ftruncate(writer._file, length)
        return writer

    def _open(self, last_step: int) -> None:
        self._last_step = last_step
        self._file = os.open(
            self.path / STEPS_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666
        )

    def append(self, step: StepRecord) -> None:
        """Write one record as one line; steps must increase; OSError leaves no partial line."""
        if self._file < 0:
            raise ValueError(f"the run {self.path} is closed; open it again with RunWriter.resume")
        if step.step <= self._last_step:
            raise ValueError(
                f"step {step.step} was given after step {self._last_step}; steps must increase"
            )
        line = step.to_json().encode() + b"\n"
        try:
            written = os.write(self._file, line)
        except OSError as error:
            self._fail(error.errno or errno.EIO)
        if written != len(line):  # the disk filled up in the middle of the line: take it back
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            self._fail(errno.ENOSPC)
        self._last_step = step.step

    def _fail(self, code: int) -> NoReturn:
        raise OSError(code, os.strerror(code), str(self.path / STEPS_FILE))

    def close(self) -> None:
        """Hand everything to the disk and close; closing twice is harmless."""
        if self._file >= 0:
            file, self._file = self._file, -1
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _claim(path: Path) -> bool:
    """Make sure that path is an empty directory; true if it was created here."""
    try:
        path.mkdir(parents=True)
    except FileExistsError as error:
        if not path.is_dir():
            raise RunExistsError(f"{path} is a file; name a new directory for the run") from error
        if any(path.iterdir()):
            raise RunExistsError(
                f"{path} is not empty; name a new directory for the run, or remove this one"
            ) from error
        return False
    return True
