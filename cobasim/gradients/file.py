"""The file of a measurement: what a world needs to learn as the measured policy would."""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cobasim.arrays import BoolArray, FloatArray
from cobasim.errors import InputError
from cobasim.files import write_bytes_atomically

VERSION = 1
KIND = "cobasim measured gradients"


@dataclass(frozen=True, eq=False)
class MeasuredGradients:
    """Features of n prompts in two metrics, and the noise of rollouts.

    The feature of a prompt is the gradient of its logit, phi_i = d logit p_i / d parameters. In
    Adam's metric it is multiplied by q^(-1/4), q the measured second moment of a parameter's
    gradient, so that inner products are those that a step along the preconditioned gradient sees.

    Attributes:
        rate: (n,) pass rates.
        level: (n,) names of difficulty levels.
        heldout: (n,) bool: not trained on.
        features: (n, r) coordinates in Adam's metric; ``rest`` (n,) what each prompt keeps alone.
        plain: (n, r') coordinates in the plain metric; ``plain_rest`` (n,). In the units of the
            loss, which divides a response's log-prob by its length: the trainer's gradient norms.
        noise: (r,) variance of a rollout's noise along each direction of ``features``, and
            ``noise_total``, that of all directions, both for A of unit variance.
        plain_within: variance of a rollout's noise in the plain metric, in the same units.
        within_at: (k, 2) pass rate and noise of a rollout, relative to their mean, to interpolate.
        root_sum: square root of the sum of q over all parameters, in the units of the loss.
        info: model, config, task, seeds, versions, costs, parts: plain values.
    """

    rate: FloatArray
    level: np.ndarray[Any, Any]
    heldout: BoolArray
    features: FloatArray
    rest: FloatArray
    plain: FloatArray
    plain_rest: FloatArray
    noise: FloatArray
    noise_total: float
    plain_within: float
    within_at: FloatArray
    root_sum: float
    info: dict[str, Any]

    def __post_init__(self) -> None:
        size = self.rate.size
        shapes = {
            "rate": (size,), "level": (size,), "heldout": (size,), "rest": (size,),
            "plain_rest": (size,), "features": (size, self.noise.size),
            "plain": (size, self.plain.shape[-1]), "noise": (self.noise.size,),
            "within_at": (len(self.within_at), 2),
        }  # fmt: skip
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(f"{name} has the shape {getattr(self, name).shape}, not {shape}")
        for name in ("rate", "rest", "plain_rest", "features", "plain", "noise", "within_at"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{name} holds NaN or infinity: measure again")
        if not ((self.rate > 0.0) & (self.rate < 1.0)).all():
            raise InputError("pass rates must lie between 0 and 1, ends excluded")
        if self.heldout.all() or not self.heldout.any():
            raise InputError("there must be prompts to train on and held-out ones")


ARRAYS = (
    "rate",
    "level",
    "heldout",
    "features",
    "rest",
    "plain",
    "plain_rest",
    "noise",
    "within_at",
)
NUMBERS = ("noise_total", "plain_within", "root_sum")


def write_measured(measured: MeasuredGradients, path: Path) -> None:
    """Write a measurement as an npz archive of plain arrays, completely or not at all.

    Features are stored in half precision: their error, 1e-3 of a number, is far below that of a
    sketch. Everything else is stored as it is.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {name: getattr(measured, name) for name in ARRAYS}
    for name in ("features", "plain"):
        arrays[name] = arrays[name].astype(np.float16)
    arrays["level"] = measured.level.astype(np.str_)
    numbers = {name: getattr(measured, name) for name in NUMBERS}
    head = {"kind": KIND, "version": VERSION, **numbers, "info": measured.info}
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)
    sink = io.BytesIO()
    np.savez_compressed(sink, allow_pickle=False, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(path, sink.getvalue())


def read_measured_gradients(path: str | os.PathLike[str]) -> MeasuredGradients:
    """Read a measurement. Raises InputError for anything but a whole file of this version."""
    file = Path(path)
    if not str(path):
        raise InputError("measured: needs the name of a file of `cobatrain gradients`")
    try:
        stamp = file.stat()
    except OSError:
        raise InputError(f"no such file of measured gradients: {path}") from None
    return _read(str(file), stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=4)
def _read(path: str, _changed: int, _size: int) -> MeasuredGradients:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        head = json.loads(arrays.pop("head").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(
            f"{path} is not a whole file of measured gradients, as `cobatrain gradients` writes "
            f"them ({' '.join(str(error).split())[:120]})"
        ) from None
    if not isinstance(head, dict) or head.get("kind") != KIND:
        raise InputError(f"{path} holds something else than measured gradients")
    if head.get("version") != VERSION:
        raise InputError(
            f"{path} has version {head.get('version')} of the file of measured gradients; this "
            f"program reads version {VERSION}: measure again"
        )
    missing = [name for name in ARRAYS if name not in arrays]
    missing += [name for name in (*NUMBERS, "info") if name not in head]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}: measure again")
    for name in ("features", "plain"):
        arrays[name] = arrays[name].astype(np.float64)
    values: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
    try:
        values |= {name: float(head[name]) for name in NUMBERS}
        return MeasuredGradients(**values, info=head["info"])
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
