"""From a training model to named full tensors, and through shared memory to another process."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from cobatrain.engines.base import EngineError
from cobatrain.lora import plain_parameters

PART_BYTES = 2**30
"""Of weights on their way to another process: a file holds about so many."""

_WRAPPER_PREFIXES = ("_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.")


def named_weights(
    model: torch.nn.Module | Mapping[str, torch.Tensor], dtype: torch.dtype | None = None
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (checkpoint name, detached full tensor) in the order of the model's layers.

    Shared parameters (tied embeddings) appear once, under their first name. Names lose what
    torch.compile and activation checkpointing add. LoRA adapters are merged into the weights that
    are yielded, layer by layer; the model keeps them apart. A sharded parameter is gathered when
    its turn comes, which is a collective: all ranks must run through the iterator. Floating-point
    tensors are cast to `dtype` if one is given.
    """
    pairs = model.items() if isinstance(model, Mapping) else plain_parameters(model)
    for name, tensor in pairs:
        for prefix in _WRAPPER_PREFIXES:
            name = name.replace(prefix, "")
        full = tensor.detach()
        if dtype is not None and full.is_floating_point():
            full = full.to(dtype)
        yield name, full


def check_names(given: set[str], stored: set[str]) -> None:
    """Raise ValueError unless the given weights are those of the engine's model.

    lm_head.weight may be missing on one side (tied embeddings). Engines only warn about missing
    weights and keep the old ones, which is why this check exists.
    """
    optional = {"lm_head.weight"}
    missing, unknown = stored - given - optional, given - stored - optional
    if stored and (missing or unknown):
        raise ValueError(
            f"the model's weights do not fit the engine's: {len(missing)} missing "
            f"({sorted(missing)[:3]}), {len(unknown)} unknown ({sorted(unknown)[:3]}); "
            f"start the engine from a checkpoint of the same model"
        )


def make_exchange_folder() -> Path:
    """Make an empty folder, in shared memory where the machine has it, for weights to pass by."""
    shared = Path("/dev/shm")
    parent = shared if shared.is_dir() and os.access(shared, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="cobatrain-weights-", dir=parent))


def write_weights(
    folder: Path, weights: Iterator[tuple[str, torch.Tensor]], *, keep: bool = True
) -> Path:
    """Write the weights below folder/weights, in safetensors files, and return that folder.

    At most about 1 GiB of them is in this process's memory at a time. With ``keep`` false nothing
    is written: this rank only takes part in gathering. Every tensor is gone through even after an
    error, for the other ranks' sake.

    Raises:
        EngineError: the folder's file system has no room for them.
    """
    target = folder / "weights"
    shutil.rmtree(target, ignore_errors=True)
    failure: Exception | None = None
    part: dict[str, torch.Tensor] = {}
    number = 0
    for name, tensor in weights:
        if not keep or failure is not None:
            continue
        part[name] = tensor.to("cpu").contiguous()
        if _size(part) >= PART_BYTES:
            failure = _write_part(part, target, number)
            part, number = {}, number + 1
    if part and failure is None:
        failure = _write_part(part, target, number)
    if failure is not None:
        shutil.rmtree(target, ignore_errors=True)
        raise failure
    return target


def _write_part(part: dict[str, torch.Tensor], target: Path, number: int) -> Exception | None:
    """Write one file; what went wrong, if anything did."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        target.mkdir(exist_ok=True)
        needed, free = _size(part), shutil.disk_usage(target).free
        if needed > free:
            return EngineError(
                f"the next part of the weights takes {needed / 2**30:.2f} GiB, but {target.parent} "
                f"has {free / 2**30:.2f} GiB free; enlarge /dev/shm (docker: --shm-size) or free "
                "memory"
            )
        save_file(part, target / f"{number:05d}.safetensors")
    except (OSError, SafetensorError) as error:
        return EngineError(f"the weights could not be written to {target.parent}: {error}")
    return None


def _size(tensors: Mapping[str, torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def read_weights(folder: str | Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (name, tensor) from what ``write_weights`` wrote, one at a time."""
    from safetensors import safe_open

    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (not a dict: it has no iterator)
                yield name, file.get_tensor(name)
