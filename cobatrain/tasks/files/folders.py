"""The data files behind a path: a file, or a dataset folder with one split or several."""

from __future__ import annotations

import json
from pathlib import Path

from cobasim.errors import InputError, unknown_name
from cobatrain.tasks.files.rows import READERS

_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "state.json", "config.json"}


def data_files(path: Path, split: str | None) -> list[Path]:
    """The data files of a path: itself, or those of a dataset folder.

    Folders: what `save_to_disk` writes (one split, or several with `dataset_dict.json`), and a
    downloaded dataset repository (`<split>*.parquet|jsonl|json|csv|arrow` in it or in `data/`).
    Raises InputError if there is no data file, or if there are several splits and none is chosen.
    """
    if path.is_file():
        if path.suffix not in READERS:
            raise InputError(f"{path}: unknown kind {path.suffix!r}, known: {', '.join(READERS)}")
        return [path]
    if not path.is_dir():
        raise InputError(f"{path} does not exist: give a data file or a dataset folder")
    if (path / "dataset_dict.json").is_file():
        splits = json.loads((path / "dataset_dict.json").read_text())["splits"]
        return data_files(path / _chosen(path, split, list(splits)), None)
    if (path / "state.json").is_file():
        state = json.loads((path / "state.json").read_text())
        return [path / item["filename"] for item in state["_data_files"]]
    by_split = _by_split(path) or _by_split(path / "data")
    if not by_split:
        raise InputError(f"{path} holds no data files ({', '.join(READERS)})")
    return by_split[_chosen(path, split, list(by_split))]


def _by_split(folder: Path) -> dict[str, list[Path]]:
    """Split -> its data files, sorted by name."""
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("*")):
        if file.suffix in READERS and file.is_file() and file.name not in _NOT_DATA:
            files.setdefault(file.name.split("-0")[0].split(".")[0], []).append(file)
    return files


def _chosen(path: Path, split: str | None, splits: list[str]) -> str:
    if split is None:
        if len(splits) == 1:
            return splits[0]
        raise InputError(f"{path} has the splits {', '.join(splits)}: name one as `split`")
    if split not in splits:
        raise unknown_name(f"split of {path}", split, splits)
    return split
