"""What a local model folder in the Hugging Face format says about its model."""

import json
from pathlib import Path
from typing import Any


def end_token_ids(model_path: str | Path) -> tuple[int, ...]:
    """Return the ids at which every engine ends a completion of a local model folder's, sorted.

    Those that the model declares (generation_config.json wins over config.json, as in
    transformers), and the tokenizer's own: chat models may name `<|im_end|>` in one of the two
    only. Empty if neither names one.

    Raises:
        ValueError: the folder has no config.json.
    """
    folder = Path(model_path)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder} is not a model folder: it has no config.json; give a folder in the "
            f"Hugging Face format (download the model first if it lives on a hub)"
        )
    for name in ("generation_config.json", "config.json"):
        file = folder / name
        if not file.is_file():
            continue
        declared = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")
        if declared is not None:
            ids = {declared} if isinstance(declared, int) else set(declared)
            return tuple(sorted(ids | _tokenizer_ends(folder)))
    return tuple(sorted(_tokenizer_ends(folder)))


def _tokenizer_ends(folder: Path) -> set[int]:
    """The end token of a folder's tokenizer, if it has one and it has an end token."""
    if not (folder / "tokenizer_config.json").is_file():
        return set()
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return set() if tokenizer.eos_token_id is None else {int(tokenizer.eos_token_id)}


def stored_names(model_path: str | Path) -> set[str]:
    """Return the tensor names in a model folder's safetensors files (read from the headers)."""
    folder = Path(model_path)
    names: set[str] = set()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            names |= set(json.loads(stream.read(size)))
    return names - {"__metadata__"}


def weight_dtype(dtype: str, model_path: str | Path) -> str | None:
    """The type of an engine's weights: ``dtype``, or for ``auto`` what the folder declares,
    if it does."""
    if dtype != "auto":
        return dtype
    file = Path(model_path) / "config.json"
    declared = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    found = declared.get("dtype") or declared.get("torch_dtype")
    return None if found is None else str(found)
