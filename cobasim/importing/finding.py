"""Which files a log consists of, in the order of its steps."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cobasim.data import ending_of, refuse_copies
from cobasim.errors import InputError

LINES = (".jsonl", ".ndjson")
TABLES = (*LINES, ".json", ".csv", ".tsv", ".parquet", ".arrow", ".feather")

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class LogFile:
    """One file of a log; ``step``: the number that its name says all its rows are of."""

    path: Path
    step: int | None = None


@dataclass(frozen=True)
class LogFiles:
    """The files of a log in order, and files beside them that are not read."""

    files: tuple[LogFile, ...]
    ignored: tuple[Path, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files, as stored."""
        return sum(file.path.stat().st_size for file in self.files)


def numbered_files(path: Path) -> LogFiles:
    """A folder of files ``STEP.jsonl``, as verl writes it, or one file of JSON lines."""
    if not _is_folder(path, LINES):
        return LogFiles((LogFile(path),))
    numbered: list[LogFile] = []
    ignored = []
    for file in _visible(path):
        stem = file.name.split(".")[0]
        if ending_of(file) in LINES and stem.isascii() and stem.isdigit():
            numbered.append(LogFile(file, int(stem)))
        else:
            ignored.append(file)
    if not numbered:
        raise InputError(
            f"{path} has no files STEP.jsonl: give the folder that verl's trainer.rollout_data_dir "
            "names"
        )
    by_step: dict[int | None, list[Path]] = {}
    for log in numbered:
        by_step.setdefault(log.step, []).append(log.path)
    for alike in by_step.values():
        refuse_copies(alike)
    numbered.sort(key=lambda file: (file.step or 0, file.path.name))
    return LogFiles(tuple(numbered), tuple(ignored))


def trl_files(path: Path) -> LogFiles:
    """What TRL writes: ``completions_*.parquet``, or ``*.table.json`` of Weights & Biases.

    Looks in the whole folder, such as the trainer's ``output_dir``. Raises InputError if several
    folders in it hold completions.
    """
    if not _is_folder(path, TABLES):
        return LogFiles((LogFile(path),))
    for pattern in ("completions_*.parquet", "completions_*.table.json", "*.table.json"):
        files = _in_order(path.rglob(pattern))
        if not files:
            continue
        folders = sorted({str(file.parent) for file in files})
        if len(folders) > 1:
            raise InputError(
                f"{path} holds {len(folders)} folders of completions: give one of "
                f"{', '.join(folders[:6])}"
            )
        return LogFiles(tuple(map(LogFile, files)))
    raise InputError(
        f"{path} has no completions_*.parquet and no *.table.json: give the output_dir of a "
        "trainer with log_completions=True, or tables of Weights & Biases"
    )


def table_files(path: Path) -> LogFiles:
    """One file with one row a rollout, or a folder of such files, in the order of their names."""
    if not _is_folder(path, TABLES):
        return LogFiles((LogFile(path),))
    visible = _visible(path)
    files = [file for file in visible if ending_of(file) in TABLES]
    if not files:
        raise InputError(f"{path} is a folder without files of rows ({', '.join(TABLES)})")
    by_stem: dict[str, list[Path]] = {}
    for file in files:
        by_stem.setdefault(file.name.split(".")[0], []).append(file)
    for alike in by_stem.values():
        refuse_copies(alike)
    ignored = [file for file in visible if file not in files]
    return LogFiles(tuple(map(LogFile, files)), tuple(ignored))


def _is_folder(path: Path, endings: tuple[str, ...]) -> bool:
    """Whether a path is a folder; if it is a file it must have one of the endings."""
    try:
        if path.is_dir():
            return True
        exists = path.exists()
    except OSError as error:  # such as a name that is too long
        raise InputError(f"{str(path)[:100]}: cannot be read: {error.strerror}") from None
    if not exists:
        raise InputError(f"no such file or folder: {path}")
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder")
    if ending_of(path) not in endings:
        raise InputError(
            f"{path}: cannot read a log with the ending {ending_of(path)!r}; give "
            f"{', '.join(endings)}, each also .gz"
        )
    return False


def _visible(folder: Path) -> list[Path]:
    return _in_order(file for file in folder.iterdir() if not file.name.startswith("."))


def _in_order(files: Iterable[Path]) -> list[Path]:
    """Files by name, numbers in names by their value: 9 before 10."""

    def key(file: Path) -> list[tuple[int, int, str]]:
        return [
            (0, int(part), "") if part.isdecimal() else (1, 0, part)
            for part in _DIGITS.split(str(file))
        ]

    return sorted((file for file in files if file.is_file()), key=key)
