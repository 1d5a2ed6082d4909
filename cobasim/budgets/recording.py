"""The run directory of a ledger: new, or gone on with from the step of a stored state."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from cobasim.errors import InputError
from cobasim.files import writing
from cobasim.records import (
    HEADER_FILE,
    RunHeader,
    RunWriter,
    StepRecord,
    read_header,
    read_run,
)

SOURCE = "ledger"
"""``source`` in the header of a run that a ledger recorded."""


class Recording:
    """Writes the records of a ledger, one line a step, and keeps other processes out.

    A folder that already holds steps of the same run waits for ``resume``, which says how many of
    them still hold; until then ``ready`` refuses.

    Raises RunExistsError if the folder holds anything else, InputError if its run has other
    settings or is being written by another process, OSError if it cannot be written.
    """

    def __init__(self, path: Path, header: RunHeader) -> None:
        self._path, self._header = path, header
        self._hold = ExitStack()
        self._writer: RunWriter | None = None
        self._closed = False
        self._waiting = 0  # steps on disk that nobody has vouched for
        if (path / HEADER_FILE).is_file():
            self._check_same()
            steps = read_run(path).steps
            self._waiting = len(steps)
            if not steps:
                self.resume(0)
        else:
            self._writer = RunWriter(path, header)
            self._hold.enter_context(writing(path))

    def resume(self, step: int) -> None:
        """Go on after ``step``: later records are cut off."""
        self.close()
        self._hold.enter_context(writing(self._path))
        self._writer = RunWriter.resume(self._path, step)
        self._closed, self._waiting = False, 0

    def ready(self) -> None:
        """Raise InputError if nothing can be written here.

        The records were closed, or the folder holds steps of which the ledger knows nothing.
        """
        if self._closed:
            raise InputError(
                f"the records in {self._path} were closed: load_state_dict(...) opens them again"
            )
        if self._waiting:
            raise InputError(
                f"{self._path} holds {self._waiting} steps of this run, of which this ledger knows "
                "nothing: load_state_dict(...) the state stored with them, or record to another "
                "folder"
            )

    def append(self, record: StepRecord) -> None:
        """Write one record."""
        assert self._writer is not None
        self._writer.append(record)

    def close(self) -> None:
        """Hand everything to the disk, and let others write."""
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        self._hold.close()

    def _check_same(self) -> None:
        found = read_header(self._path)
        own = RunHeader.from_json(self._header.to_json())  # as it is stored
        if replace(found, created="", versions={}) != replace(own, created="", versions={}):
            raise InputError(
                f"{self._path} holds a run of source {found.source!r} with allocator "
                f"{found.allocator!r}, not this ledger's run with the same settings: record to "
                "another folder"
            )
