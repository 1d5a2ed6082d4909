"""Data files by their ending, compressed or not, and the files of a dataset folder."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, cast

from cobasim.data.json_rows import read_json, read_jsonl
from cobasim.data.numbers import read_npy, read_npz, read_plain
from cobasim.data.objects import parse
from cobasim.data.rows import (
    Reader,
    Row,
    read_arrow,
    read_csv,
    read_parquet,
    text_of,
)
from cobasim.errors import InputError, unknown_name

READERS: dict[str, Reader] = {
    ".csv": read_csv,
    ".tsv": partial(read_csv, separator="\t"),
    ".txt": read_plain,
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
    ".npy": read_npy,
    ".npz": read_npz,
}
"""Ending -> how such a file is read. Each may be followed by ``.gz``; letter case is ignored."""

COMPRESSED = ".gz"
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
"""What is raised for compressed content that is cut off or broken."""
ENDINGS = f"{', '.join(READERS)}, each also {COMPRESSED}"

_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "state.json", "config.json"}


def ending_of(path: Path) -> str:
    """The ending that says how to read a file, in small letters, without ``.gz``."""
    name = path.name.lower().removesuffix(COMPRESSED)
    return Path(name).suffix


def read_rows(path: Path, columns: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a data file, one at a time, each with its line or row number.

    Args:
        path: a file with an ending in READERS.
        columns: those that are needed, dots for nested ones; none means all. Others may be left
            out.

    Raises InputError, naming the file, if it cannot be read.
    """
    ending = ending_of(path)
    if ending not in READERS:
        raise InputError(f"{path}: cannot read a file with the ending {ending!r}; give {ENDINGS}")
    try:
        with path.open("rb") as raw:
            yield from READERS[ending](_unpacked(raw, path.name), columns)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except DAMAGED as error:
        raise InputError(f"{path}: damaged compression: {error}") from None
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def reader_of_bytes(data: bytes) -> Reader:
    """How to read content without a name, told from how it begins."""
    if data.startswith(b"\x1f\x8b"):
        try:
            unzipped = gzip.decompress(data)
        except DAMAGED as error:
            raise InputError(f"damaged compression: {error}") from None
        read = reader_of_bytes(unzipped)
        return lambda _, columns: read(io.BytesIO(unzipped), columns)
    for start, ending in _MAGIC.items():
        if data.startswith(start):
            return READERS[ending]
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    return READERS[".json" if text[:1] in (b"[", b"{") else ".txt"]


_MAGIC = {
    b"PAR1": ".parquet",
    b"ARROW1": ".arrow",
    b"\xff\xff\xff\xff": ".arrow",
    b"\x93NUMPY": ".npy",
    b"PK\x03\x04": ".npz",
}
"""How binary files begin -> their ending."""


def _unpacked(raw: IO[bytes], name: str) -> IO[bytes]:
    """The content of a file; Arrow's and numpy's readers want to move about in it."""
    if not is_compressed(Path(name)):
        return raw
    unzipped = gzip.GzipFile(fileobj=raw)
    if ending_of(Path(name)) in (".csv", ".tsv", ".txt", ".jsonl", ".ndjson"):
        return cast(IO[bytes], unzipped)
    return io.BytesIO(unzipped.read())


def data_files(path: Path, split: str | None = None) -> list[Path]:
    """The data files of a path: itself, or those of a dataset folder.

    Folders: what ``save_to_disk`` writes (one split, or several with ``dataset_dict.json``), and a
    downloaded dataset repository (``<split>*.parquet|jsonl|json|csv|arrow|...`` in it or in
    ``data/``). Raises InputError if there is none, several splits and no choice, or a choice and no
    splits.
    """
    try:
        is_file = path.is_file()
    except OSError as error:  # such as a name that is too long
        raise _unreadable(path, error) from None
    if is_file:
        if ending_of(path) not in READERS:
            raise InputError(
                f"{path}: cannot read a file with the ending {ending_of(path)!r}; give {ENDINGS}"
            )
        if split is not None:
            raise InputError(f"{path} is one file without splits: leave out split ({split!r})")
        return [path]
    if not path.is_dir():
        raise InputError(f"no such file: {path}")
    if (path / "dataset_dict.json").is_file():
        splits = _listed(path / "dataset_dict.json", "splits")
        return data_files(path / _chosen(path, split, splits))
    if (path / "state.json").is_file():
        if split is not None:
            raise InputError(f"{path} is one split: leave out split ({split!r})")
        return [path / name for name in _listed(path / "state.json", "_data_files", "filename")]
    by_split = _by_split(path) or _by_split(path / "data")
    if not by_split:
        raise InputError(f"{path} is a folder without data files ({ENDINGS})")
    files = by_split[_chosen(path, split, list(by_split))]
    refuse_copies(files)
    return files


def _listed(file: Path, key: str, inside: str | None = None) -> list[str]:
    """The names that a file of ``save_to_disk`` lists; ``inside``: a key of what it lists.

    Raises InputError.
    """
    try:
        items = parse(text_of(file.read_bytes()))[key]
        names = list(items) if inside is None else [item[inside] for item in items]
    except (ValueError, KeyError, TypeError, RecursionError):
        names = []
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{file} is damaged: it does not list what save_to_disk wrote ({key})")
    return names


def _unreadable(path: Path, error: OSError) -> InputError:
    name = str(path)
    shown = name if len(name) <= 300 else f"{name[:100]}..."
    return InputError(f"{shown}: cannot be read: {error.strerror or error}")


def refuse_copies(files: Sequence[Path]) -> None:
    """Raise InputError if files of one data set are in two formats: the same rows twice, likely."""
    kinds = {"".join((ending_of(file), COMPRESSED * is_compressed(file))): file for file in files}
    if len(kinds) > 1:
        names = " and ".join(file.name for file in list(kinds.values())[:2])
        raise InputError(
            f"{files[0].parent} holds {names}, which may be the same rows twice: name one file, or "
            "keep one format"
        )


def is_compressed(path: Path) -> bool:
    """Whether a file's name says that it is compressed."""
    return path.name.lower().endswith(COMPRESSED)


def _by_split(folder: Path) -> dict[str, list[Path]]:
    """Split -> its data files, sorted by name."""
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("*")):
        if ending_of(file) in READERS and file.is_file() and file.name not in _NOT_DATA:
            files.setdefault(file.name.split("-0")[0].split(".")[0], []).append(file)
    return files


def _chosen(path: Path, split: str | None, splits: list[str]) -> str:
    if split is None:
        if len(splits) == 1:
            return splits[0]
        raise InputError(f"{path} has the splits {', '.join(splits)}: name one of them (split)")
    if split not in splits:
        raise InputError(f"{path}: {unknown_name('split', split, splits)}")
    return split
