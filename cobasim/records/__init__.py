"""Run directories: one header and append-only steps, written by any learner, read by everybody.

In: a header, and one record a step. Out: runs as read back, finished or not, and their columns.
A run directory holds ``header.json`` (written once, atomically) and ``steps.jsonl`` (one JSON
object a line, each line handed to the system in one write). It can be read while the run goes on,
and after a kill it is complete up to the last whole line. ``docs/records.md`` describes the format
for people who write or read it from elsewhere.
"""

from cobasim.files import folder_name, write_atomically
from cobasim.records.archive import read_archive, read_runs, write_archive
from cobasim.records.bins import PASS_RATE_BINS, UNSEEN, bin_counts
from cobasim.records.header import FORMAT, RunHeader, own_versions
from cobasim.records.old_names import rename
from cobasim.records.run import (
    CHANGES_FILE,
    HEADER_FILE,
    STEPS_FILE,
    Run,
    columns,
    find_runs,
    read_end,
    read_header,
    read_run,
)
from cobasim.records.step import StepRecord
from cobasim.records.writer import RunExistsError, RunWriter

__all__ = [
    "CHANGES_FILE",
    "FORMAT",
    "HEADER_FILE",
    "PASS_RATE_BINS",
    "STEPS_FILE",
    "UNSEEN",
    "Run",
    "RunExistsError",
    "RunHeader",
    "RunWriter",
    "StepRecord",
    "bin_counts",
    "columns",
    "find_runs",
    "folder_name",
    "own_versions",
    "read_archive",
    "read_end",
    "read_header",
    "read_run",
    "read_runs",
    "rename",
    "write_archive",
    "write_atomically",
]
