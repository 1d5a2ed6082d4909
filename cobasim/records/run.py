"""Reading run directories."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cobasim.errors import InputError
from cobasim.records.encoding import decode
from cobasim.records.header import RunHeader
from cobasim.records.step import NUMBERS, StepRecord

HEADER_FILE: Final = "header.json"
CHANGES_FILE: Final = "changes.json"
"""Of a run whose settings were changed on the way: which, and after which step."""
STEPS_FILE: Final = "steps.jsonl"
HELDOUT: Final = b'"heldout"'


@dataclass(frozen=True)
class Run:
    """A run as read from disk: its header, its whole lines so far, and where it came from."""

    header: RunHeader
    steps: tuple[StepRecord, ...]
    path: Path


def read_header(path: str | os.PathLike[str]) -> RunHeader:
    """Read the header of a run directory; ValueError if it is missing, foreign or malformed."""
    folder = Path(path)
    file = folder / HEADER_FILE
    try:
        data = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"has no {HEADER_FILE}" if folder.is_dir() else "is not a directory"
        raise InputError(f"{folder} {problem}; expected a run directory") from error
    try:
        return RunHeader.from_json(data)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from error


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a run directory, finished or not; a partial last line is left out.

    Raises ValueError if the directory is missing or foreign, or a whole line is malformed.
    """
    header = read_header(path)
    file = Path(path) / STEPS_FILE
    return Run(header, tuple(parse_steps(whole_lines(file), file)), Path(path))


def read_end(path: str | os.PathLike[str]) -> Run:
    """The header of a run with its last record, and before it the last one with held-out accuracy.

    Much quicker than ``read_run``, which finds damage in earlier lines, too. Raises as it does.
    """
    header, file = read_header(path), Path(path) / STEPS_FILE
    found: list[StepRecord] = []
    for line in reversed(whole_lines(file).splitlines()):
        if not found or HELDOUT in line:
            try:
                record = StepRecord.from_json(line)
            except ValueError as error:
                raise InputError(f"{file}, at its end: {error}") from error
            evaluated = (record.evaluation or {}).get("heldout") is not None
            if not found or evaluated:
                found.insert(0, record)
            if evaluated:
                break
    return Run(header, tuple(found), Path(path))


def find_runs(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the run directories at or below a folder, sorted; ValueError if it is missing."""
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is not a directory; expected a folder that holds runs")
    runs = []
    for root, below, files in os.walk(folder):
        if HEADER_FILE in files:
            runs.append(Path(root))
            below.clear()  # runs do not hold runs
    return sorted(runs)


def columns(run: Run) -> dict[str, NDArray[np.float64]]:
    """Return the numbers of a run as columns, (steps,) floats each; NaN = not measured.

    The learner's numbers are named ``learner.NAME``, accuracies ``evaluation.NAME``.
    """
    table: dict[str, NDArray[np.float64]] = {}
    for name in ("step", "rollouts", *NUMBERS):
        values = [getattr(step, name) for step in run.steps]
        table[name] = np.array(values, dtype=np.float64)  # None becomes NaN
    nested = {
        "learner": [step.learner for step in run.steps],
        "evaluation": [step.evaluation or {} for step in run.steps],
    }
    for prefix, items in nested.items():
        names = dict.fromkeys(name for item in items for name in item)
        for name in names:
            values = [item.get(name) for item in items]
            if all(value is None or isinstance(value, (int, float)) for value in values):
                table[f"{prefix}.{name}"] = np.array(values, dtype=np.float64)
    return table


def whole_lines(file: Path) -> bytes:
    """The content of a steps file without a partial last line; empty if there is no file yet."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:  # the run was only just started
        return b""
    return data[: data.rfind(b"\n") + 1]


def parse_steps(data: bytes, file: Path) -> list[StepRecord]:
    """The records of whole lines. Raises InputError, with the line, for a malformed one."""
    if not data:
        return []
    try:  # all lines in one call, which is quicker
        payloads = decode(b"[" + data[:-1].replace(b"\n", b",") + b"]")
        records = [StepRecord.from_dict(payload) for payload in payloads]
    except ValueError:  # some line is malformed: find it
        records = []
        for number, line in enumerate(data.splitlines(), start=1):
            try:
                records.append(StepRecord.from_json(line))
            except ValueError as error:
                raise InputError(f"{file}, line {number}: {error}") from error
    for number, (before, after) in enumerate(itertools.pairwise(records), start=2):
        if after.step <= before.step:
            raise InputError(
                f"{file}, line {number}: step {after.step} follows step {before.step}; "
                "steps must increase (did two runs write here?)"
            )
    return records
