"""Files of measured gradients as the app offers them: examples, those below a folder, uploads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cobasim.errors import InputError
from cobasim.files import example, write_bytes_atomically
from cobasim.gradients import read_measured_files, read_measured_gradients
from cobasim.world import MEASURED

TINY = ("gradients_tiny_lm.npz", "gradients_tiny_lm_40.npz")
EXAMPLES = {
    "Example: tiny arithmetic model, at steps 0 and 40": TINY,
    "Example: tiny arithmetic model, at the start": TINY[:1],
}


def measured_worlds(folder: Path) -> dict[str, str]:
    """Worlds by what a list shows: the examples that are there, then each npz file of a folder."""
    found = {}
    for label, names in EXAMPLES.items():
        files = [example(name) for name in names]
        known = [file for file in files if file is not None]
        if len(known) == len(files):
            found[label] = world_of(known)
    if folder.is_dir():
        below = sorted(folder.glob("*.npz")) + sorted(folder.glob("*/*.npz"))
        paths = [file for file in below if "," not in str(file)]  # a comma ends a file's name
        found |= {str(file.relative_to(folder)): world_of([file]) for file in paths}
    return found


def world_of(files: Iterable[Path]) -> str:
    """The name of the world that files of measured gradients make; no comma in their paths."""
    return MEASURED + ",".join(map(str, files))


def keep_measured(name: str, content: bytes, folder: Path) -> Path:
    """Store an uploaded file below ``folder``, where a process finds it; the path.

    Equal files are stored once. Raises InputError, naming the file as it was named, for anything
    but measured gradients.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.blake2b(content, digest_size=8).hexdigest()}.npz"
    if not path.exists():
        write_bytes_atomically(path, content)
    try:
        read_measured_gradients(path)
    except InputError as error:
        path.unlink(missing_ok=True)
        raise InputError(str(error).replace(str(path), name)) from None
    return path


def parts_of(world: str) -> dict[int, dict[str, Any]]:
    """What each file of a measured world found of a gradient's parts, by step: ``PartsReport``.

    Empty for files that do not say. Raises InputError for a bad file.
    """
    files = read_measured_files(world.removeprefix(MEASURED))
    return {file.step: file.info["parts"] for file in files if file.info.get("parts")}


def describe_measured(world: str) -> str:
    """In a sentence or two: which model and task, when, and how many prompts.

    Raises InputError for a bad file.
    """
    files = read_measured_files(world.removeprefix(MEASURED))
    first = files[0]
    pool = first.rate[~first.heldout]
    steps = [str(file.step) for file in files]
    size = first.info.get("parameters of the model") or first.info.get("parameters")
    model = f"Model {first.info.get('model', 'not named')}"
    if size:
        model += f" ({size:,} parameters)"
    part, adapters = first.info.get("parameters measured"), first.info.get("adapters")
    if part or adapters:
        measured = "" if adapters is None else f" of the {adapters}"
        model += f", of which only the parameters{measured}{f' {part!r}' if part else ''}"
        model += " were measured"
    when = f"step{'s' if len(steps) > 1 else ''} {' and '.join(steps)}"
    return (
        f"{model}, task {first.info.get('task', 'not named')}, measured at {when} of a run: "
        f"{pool.size:,} prompts to train on, which pass {100 * float(np.mean(pool)):.1f} % at the "
        f"start, and {int(first.heldout.sum()):,} held-out ones."
    )
