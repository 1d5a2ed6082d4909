"""Files of measured pass rates as the app offers them: examples, those of runs, uploads."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from cobasim.data import MeasuredRates, RateOptions, read_measured
from cobasim.errors import InputError
from cobasim.files import example, folder_name, write_bytes_atomically
from cobasim.importing import PASS_RATES

EXAMPLE = "pass_rates_tiny_lm.csv"


def rate_files(folder: Path) -> dict[str, Path]:
    """Files by what a list shows: the example if it is there, then those of imported runs."""
    known = example(EXAMPLE)
    found = {} if known is None else {"Example: tiny arithmetic model": known}
    if folder.is_dir():
        below = sorted(folder.glob(PASS_RATES)) + sorted(folder.glob(f"*/{PASS_RATES}"))
        found |= {str(file.relative_to(folder)): file for file in below}
    return found


def keep_rates(name: str, content: bytes, folder: Path) -> Path:
    """Store an uploaded file below ``folder``, where a process finds it; its path ends in its name.

    Equal files are stored once.
    """
    own = folder / hashlib.blake2b(content, digest_size=8).hexdigest()
    own.mkdir(parents=True, exist_ok=True)
    path = own / folder_name(name)
    if not path.exists():
        write_bytes_atomically(path, content)
    return path


def read_rates(path: Path, reading: RateOptions | None = None) -> MeasuredRates:
    """Pass rates of a file. Raises InputError, which names the file without its folder."""
    try:
        return replace(read_measured(str(path), reading), source=path.name)
    except InputError as error:
        raise InputError(str(error).replace(str(path), path.name)) from None
