"""Files and folders: safe names, examples, whole writes, and one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from cobasim.errors import InputError

EXAMPLES = Path("examples")
LOCK = ".lock"
"""Held by who writes to a folder; freed by the operating system when its process ends."""


def folder_name(name: str) -> str:
    """A folder name, safe on any system, for a name from outside; different for different names.

    Letters, digits, ``-``, ``_`` and ``.`` stay, all else is percent-encoded, so an import path
    ``module:Class`` or the path of a file gives one folder. Overlong names end in a hash.
    """
    safe = quote(name, safe="", errors="surrogatepass").replace("~", "%7E")
    if safe.strip(".") == "":
        safe = safe.replace(".", "%2E")
    if len(safe) > 120:
        safe = f"{safe[:100]}-{hashlib.blake2b(safe.encode(), digest_size=8).hexdigest()}"
    return safe


def example(name: str) -> Path | None:
    """``examples/NAME`` below the working folder, or as it ships; None if there is none.

    The first one is given as it is named, relative to the working folder. Examples ship inside the
    installed package; in a checkout they are next to it.
    """
    package = Path(__file__).parent
    for folder in (EXAMPLES, package / EXAMPLES, package.parent / EXAMPLES):
        if os.path.isfile(folder / name):
            return folder / name
    return None


def or_example(path: str | os.PathLike[str]) -> Path:
    """The path; where nothing is there and it reads ``examples/NAME``, the example that ships.

    So the paths of the docs hold wherever the package is installed.
    """
    given = Path(path)
    if given.parent != EXAMPLES or os.path.exists(given):
        return given
    return example(given.name) or given


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or nothing: under a temporary name,
    then renamed, both synced.
    """
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """As ``write_atomically``."""
    with writing_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def writing_atomically(path: Path) -> Iterator[BinaryIO]:
    """The same for what is written piece by piece: the file is there once the block has ended.

    Raises OSError with the file's own name; whatever ends the block early leaves no file.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        code = error.errno or errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # some file systems cannot sync a directory
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """Keep other processes from writing to a folder that exists; may be nested.

    Raises InputError if another process is writing there.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(out.resolve() / LOCK, timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{out} is being written by another process; wait until that ends, or choose another "
            "folder"
        ) from None
    try:
        yield
    finally:
        lock.release()
