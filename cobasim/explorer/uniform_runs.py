"""Runs with uniform budgets as the app offers them: those below a folder, and uploaded logs."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from cobasim.errors import InputError
from cobasim.explorer.run_folders import run_folders
from cobasim.files import write_bytes_atomically
from cobasim.importing import ImportOptions, import_log
from cobasim.records import STEPS_FILE, read_header
from cobasim.runs import BASELINE

NOTES = "notes.txt"


def uniform_runs(folder: Path) -> dict[str, Path]:
    """Runs below a folder whose header says uniform budgets, by name."""
    found = {}
    for name, path in run_folders(folder) if folder.is_dir() else []:
        try:
            header = read_header(path)
        except (InputError, OSError):
            continue  # the table of runs says what is wrong with it
        if header.allocator == BASELINE:
            found[name] = path
    return found


def keep_log(
    files: Sequence[tuple[str, bytes]], layout: str, passed: float | None, folder: Path
) -> tuple[Path, str]:
    """Import uploaded files of a trainer's log below ``folder``; the run, and what was read.

    ``files`` are names and contents; ``layout`` and ``passed`` as ``cobasim import`` has them.
    Equal uploads are imported once. Raises InputError, which names files as they were named, also
    for two files of one name and for names that are no file's.
    """
    names = [name for name, _ in files]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"two files are called {name}: join them, or use `cobasim import` on their folder"
            )
        if name in ("", ".", "..") or len(name.encode()) > 200 or set(name) & set("/\\\0"):
            raise InputError(f"{name[:60]!r} cannot be the name of a file here: rename it")
    content = hashlib.blake2b(f"{layout} {passed}".encode(), digest_size=8)
    for name, given in sorted(files):
        content.update(name.encode() + b"\0" + hashlib.blake2b(given).digest())
    own = folder / content.hexdigest()
    run = own / "run"
    if not (run / STEPS_FILE).exists():
        log = own / "log"
        shutil.rmtree(log, ignore_errors=True)
        log.mkdir(parents=True)
        for name, given in files:
            write_bytes_atomically(log / name, given)
        source = log if len(files) > 1 else log / names[0]
        try:
            done = import_log(layout, source, run, ImportOptions(passed=passed))
        except InputError as error:
            raise InputError(str(error).replace(f"{log}/", "").replace(str(log), "log")) from None
        finally:
            shutil.rmtree(log, ignore_errors=True)
        text = " ".join(note.rstrip(".") + "." for note in (done.headline, *done.notes))
        (own / NOTES).write_text(text.replace(f"{log}/", "").replace(str(log), "log"))
    return run, (own / NOTES).read_text()
