"""Many runs from folders, or from archives: one compressed file of whole runs, one run a line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

from cobasim.errors import InputError
from cobasim.files import write_bytes_atomically
from cobasim.records.header import RunHeader
from cobasim.records.run import Run, find_runs, read_run
from cobasim.records.step import StepRecord

ARCHIVE = ".jsonl.gz"


def write_archive(path: Path, runs: Iterable[Run]) -> None:
    """Write ``runs`` as ``read_archive`` reads them, whole or not at all.

    The same runs give the same bytes. Raises OSError.
    """
    lines = []
    for run in runs:
        steps = ",".join(step.to_json() for step in run.steps)
        lines.append(f'{{"header":{run.header.to_json()},"steps":[{steps}]}}\n')
    write_bytes_atomically(path, gzip.compress("".join(lines).encode(), mtime=0))


def read_archive(path: Path) -> list[Run]:
    """The runs of an archive: gzipped lines ``{"header": {...}, "steps": [{...}, ...]}``.

    Raises InputError if the file cannot be read or a line is malformed.
    """
    runs = []
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                content = json.loads(line)
                header = RunHeader.from_json(json.dumps(content["header"]))
                steps = tuple(StepRecord.from_dict(step) for step in content["steps"])
                runs.append(Run(header, steps, path))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    return runs


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """The runs of folders (at any depth) and of archives, in the order given.

    Raises InputError if a path is neither, or if there is no run at all.
    """
    runs: list[Run] = []
    for path in paths:
        if path.is_dir():
            runs += [read_run(folder) for folder in find_runs(path)]
        elif path.name.endswith(ARCHIVE) and path.exists():
            runs += read_archive(path)
        else:
            raise InputError(f"{path}: expected a folder of runs, or an archive {ARCHIVE}")
    if not runs:
        raise InputError("no runs found; give the folder of a finished `cobatrain compare`")
    return runs
