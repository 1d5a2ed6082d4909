"""Checkpoints: all that a resumed run needs. Written aside, then renamed; old ones are removed.

A checkpoint is a folder ``step-000010`` with ``model.safetensors`` (with LoRA, of adapters only;
the model's folder has the rest), ``state.pt`` (optimiser,
schedule, counts, windows; tensors and plain values only, so that reading it runs no code) and
``meta.json`` (config, fingerprint of the task, step).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cobasim.errors import InputError
from cobatrain.parallel.ranks import Parallel, Single, together
from cobatrain.parallel.sharding import full_parameters

FOLDER = "checkpoints"
MODEL, STATE, META = "model.safetensors", "state.pt", "meta.json"


class CheckpointError(RuntimeError):
    """A checkpoint could not be written; the ones before it are untouched."""


def save_checkpoint(
    run: Path,
    step: int,
    weights: Mapping[str, torch.Tensor],
    state: Mapping[str, Any],
    meta: Mapping[str, Any],
) -> Path:
    """Write the checkpoint of ``step`` below the run's folder, completely or not at all.

    ``weights`` is what ``whole_weights`` gives. Raises CheckpointError if it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder = run / FOLDER
    final = folder / f"step-{step:06d}"
    aside = folder / f".{final.name}.{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        save_file(dict(weights), aside / MODEL)
        torch.save(_to_tensors(state), aside / STATE)
        (aside / META).write_text(json.dumps({**meta, "step": step}, indent=1) + "\n")
        set_usual_permissions(aside)
        for name in (MODEL, STATE, META):
            _sync_to_disk(aside / name)
        if final.exists():
            shutil.rmtree(final)
        aside.rename(final)
        _sync_to_disk(folder)
    except (OSError, RuntimeError, SafetensorError) as error:  # what torch and safetensors raise
        shutil.rmtree(aside, ignore_errors=True)
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"the checkpoint of step {step} could not be written to {folder} ({reason}); the run "
            "is kept up to the previous checkpoint: make room, then resume"
        ) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return final


def set_usual_permissions(folder: Path) -> None:
    """Give the weights in a folder the permissions of other new files.

    safetensors writes for the owner alone, whatever the umask says.
    """
    for path in folder.glob("*.safetensors"):
        path.chmod(folder.stat().st_mode & 0o666)


def whole_weights(model: torch.nn.Module, keep: bool = True) -> dict[str, torch.Tensor]:
    """Parameters and persistent buffers by name, whole and on the CPU; shared ones once.

    Of a model of which a part is frozen (LoRA) only what is trained: the rest is in the folder that
    it was loaded from. Collective for a sharded model. With ``keep`` false this rank takes part but
    keeps nothing.
    """
    trained = _trained_part(model)
    buffers: dict[str, torch.Tensor] = {}
    if trained is None:
        shared = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        states = model.state_dict().items()
        buffers = {name: value for name, value in states if name not in shared}
    weights = {}
    for name, value in chain(full_parameters(model, trained), buffers.items()):
        if keep:
            weights[name] = value.detach().cpu().contiguous()
    return weights


def _trained_part(model: torch.nn.Module) -> dict[str, torch.nn.Parameter] | None:
    """The parameters that are trained, by name; None if all are."""
    known = dict(model.named_parameters())
    trained = {name: one for name, one in known.items() if one.requires_grad}
    return None if len(trained) == len(known) else trained


def prune(run: Path, keep: int) -> None:
    """Remove all but the newest ``keep`` checkpoints, and any that a kill left half-written."""
    known = checkpoints(run)
    for old in known[: max(0, len(known) - keep)]:
        shutil.rmtree(old)
    for aside in (run / FOLDER).glob(".step-*"):
        shutil.rmtree(aside, ignore_errors=True)


def checkpoints(run: Path) -> list[Path]:
    """Whole checkpoints of a run, oldest first."""
    return sorted(path for path in (run / FOLDER).glob("step-*") if (path / META).is_file())


def newest_checkpoint(run: Path) -> Path | None:
    """The newest whole checkpoint of a run, if it has one."""
    return next(reversed(checkpoints(run)), None)


def read_meta(checkpoint: Path) -> dict[str, Any]:
    """The contents of ``meta.json``. Raises InputError if it is damaged."""
    try:
        meta = json.loads((checkpoint / META).read_text())
    except ValueError as error:
        raise InputError(f"{checkpoint / META} is damaged: {error}") from None
    if not isinstance(meta, dict) or "step" not in meta:
        raise InputError(f"{checkpoint / META} is not the description of a checkpoint")
    return meta


def load_checkpoint(checkpoint: Path, model: torch.nn.Module) -> dict[str, Any]:
    """Load the weights into ``model`` and return the state, in one process.

    Raises InputError if the weights belong to another model, or a file is damaged.
    """
    load_weights(checkpoint, model)
    return load_state(checkpoint, Single())


def load_state(checkpoint: Path, parallel: Parallel) -> dict[str, Any]:
    """The state of a checkpoint, on every rank, without its weights. Collective.

    Rank 0 alone reads the file, and its tensors stay there until they are used; those of the other
    ranks (on torch's meta device) only say shape and type. ``load_optimiser`` hands out the values.
    Raises InputError, or PeerError on the other ranks, if the file is damaged.
    """

    def read() -> dict[str, Any] | None:
        if parallel.rank > 0:
            return None
        with _readable(checkpoint):
            state = torch.load(
                str(checkpoint / STATE), weights_only=True, map_location="cpu", mmap=True
            )
            restored = _to_arrays(state)
            assert isinstance(restored, dict)
            return restored

    state = together(parallel, read)
    told = parallel.gather(None if state is None else _outline(state))[0]
    return told if state is None else state


def _outline(value: Any) -> Any:
    """A state in which tensors, but for single numbers, only say shape and type."""
    if isinstance(value, torch.Tensor):
        return value if value.ndim == 0 else value.to("meta")
    if isinstance(value, dict):
        return {key: _outline(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_outline(item) for item in value]
    return value


def load_weights(checkpoint: Path, model: torch.nn.Module) -> None:
    """Load the weights of a checkpoint, without its state, into ``model``.

    Raises InputError if they belong to another model, or the file is damaged.
    """
    from safetensors.torch import load_file, load_model

    trained = _trained_part(model)
    with _readable(checkpoint):
        if trained is None:
            load_model(model, str(checkpoint / MODEL))
            return
        stored = load_file(checkpoint / MODEL)
        shapes = [
            {name: tuple(value.shape) for name, value in part.items()} for part in (trained, stored)
        ]
        wrong = sorted({name for name, _ in set(shapes[0].items()) ^ set(shapes[1].items())})
        if wrong:
            raise ValueError(
                f"{len(wrong)} trained parameters are missing, unknown or of another shape, such "
                f"as {wrong[0]}"
            )
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(stored[name])


@contextmanager
def _readable(checkpoint: Path) -> Iterator[None]:
    """InputError for whatever the block raises: a damaged file can break a reader in any way."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{checkpoint} does not fit this model, or is damaged: {reason}") from None


def _to_tensors(value: Any) -> Any:
    """Numpy arrays as tagged tensors, so that ``weights_only`` loading accepts them."""
    if isinstance(value, np.ndarray):
        return {"__array__": torch.from_numpy(np.ascontiguousarray(value))}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_tensors(item) for item in value]
    return value


def _to_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"__array__"}:
            return value["__array__"].numpy()
        return {key: _to_arrays(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_arrays(item) for item in value]
    return value


def _sync_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
