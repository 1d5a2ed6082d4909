"""What a local model folder in the Hugging Face format says about its model."""

import json
from pathlib import Path


def end_token_ids(model_path: str | Path) -> tuple[int, ...]:
    """Return the end-of-sequence ids a local model folder declares, sorted.

    generation_config.json wins over config.json, as in transformers. Empty if neither names one.

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
            return tuple(sorted({declared} if isinstance(declared, int) else set(declared)))
    return ()


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
