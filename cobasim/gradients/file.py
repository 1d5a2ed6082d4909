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

from cobasim.arrays import BoolArray, FloatArray, IntArray, RealArray
from cobasim.errors import InputError
from cobasim.files import or_example, write_bytes_atomically

VERSION = 2
KIND = "cobasim measured gradients"


@dataclass(frozen=True, eq=False)
class MeasuredGradients:
    """Features of n prompts, and the noise of rollouts.

    An answer is a sequence of tokens, and at each position the right one competes with others, the
    alternatives: N of them in all. A feature is the gradient of an alternative's log-odds against
    the right token. With one alternative a prompt, its log-odds are minus the logit of the pass
    rate. In Adam's metric a gradient is multiplied by q^(-1/4), q the measured second moment of a
    parameter's gradient, so that inner products are those that a step along the preconditioned
    gradient sees.

    Attributes:
        rate: (n,) pass rates.
        level: (n,) names of difficulty levels.
        heldout: (n,) bool: not trained on.
        prompt: (N,) of each alternative, in order; every prompt has one at least.
        position: (N,) of the answer's token that it competes with; not falling within a prompt.
        token: (N,) its id; -1: all those of small probability together.
        odds: (N,) log-odds at the start.
        features: (N, r) their gradients in Adam's metric, along directions that prompts share; the
            last ``folded`` numbers are a sketch of what lies outside the others.
        own: (N,) the same along a direction that no other prompt has.
        plain: (n, r') gradients of the logits of the pass rates in the plain metric, and
            ``plain_rest`` (n,), what is left. In the units of the loss, which divides a response's
            log-prob by its length: the trainer's gradient norms.
        noise: (r,) variance of a rollout's noise given its outcome along each direction of
            ``features``, and ``noise_total``, that of all directions, both for A of unit variance.
        plain_within: variance of a rollout's noise in the plain metric, in the same units.
        within_at: (k, 2) pass rate and noise of a rollout, relative to their mean, to interpolate.
        root_sum: square root of the sum of q over all parameters, in the units of the loss.
        info: model, config, task, seeds, versions, costs, parts: plain values.
    """

    rate: FloatArray
    level: np.ndarray[Any, Any]
    heldout: BoolArray
    prompt: IntArray
    position: IntArray
    token: IntArray
    odds: FloatArray
    features: RealArray
    own: FloatArray
    plain: FloatArray
    plain_rest: FloatArray
    noise: FloatArray
    noise_total: float
    folded: int
    plain_within: float
    within_at: FloatArray
    root_sum: float
    info: dict[str, Any]

    def __post_init__(self) -> None:
        size, total = self.rate.size, self.odds.size
        shapes = {
            "rate": (size,), "level": (size,), "heldout": (size,), "plain_rest": (size,),
            "prompt": (total,), "position": (total,), "token": (total,), "odds": (total,),
            "own": (total,),
            "features": (total, self.noise.size), "plain": (size, self.plain.shape[-1]),
            "noise": (self.noise.size,), "within_at": (len(self.within_at), 2),
        }  # fmt: skip
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(f"{name} has the shape {getattr(self, name).shape}, not {shape}")
        finite = ("rate", "odds", "own", "plain_rest", "features", "plain", "noise", "within_at")
        for name in finite:
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{name} holds NaN or infinity: measure again")
        if not ((self.rate > 0.0) & (self.rate < 1.0)).all():
            raise InputError("pass rates must lie between 0 and 1, ends excluded")
        if not 0 <= self.folded <= self.noise.size:
            raise InputError(f"{self.folded} of {self.noise.size} numbers cannot be folded")
        if self.heldout.all() or not self.heldout.any():
            raise InputError("there must be prompts to train on and held-out ones")
        if not np.array_equal(np.unique(self.prompt), np.arange(size)):
            raise InputError(f"each of {size} prompts needs an alternative to its answer")
        steps = np.diff(self.prompt)
        if (steps < 0).any() or (np.diff(self.position)[steps == 0] < 0).any():
            raise InputError("alternatives must be in the order of prompts and positions")

    @property
    def step(self) -> int:
        """Of the run whose policy was measured."""
        return int(self.info.get("step", 0))

    @property
    def from_rollouts(self) -> bool:
        """Whether features were made from sampled responses, not from the answers' log-probs."""
        return self.info.get("method") == "rollouts"

    def sampled(self) -> tuple[FloatArray, int]:
        """Passes (n,) of each prompt and the rollouts behind them, if ``from_rollouts``.

        Its rates are (passes + 1/2) / (rollouts + 1).
        """
        rollouts = int(self.info["rollouts of a prompt"])
        passes = np.rint(np.asarray(self.rate, dtype=np.float64) * (rollouts + 1) - 0.5)
        return np.clip(passes, 0, rollouts), rollouts


DOUBT = (
    "Features from rollouts are not to be trusted: in the one prediction from such features that "
    "was compared with real runs uniform ended at 99 %, in the runs at 58 % "
    "(docs/real/smollm2/README.md)."
)
"""Said wherever features ``from_rollouts`` are used."""


ARRAYS = (
    "rate", "level", "heldout", "prompt", "position", "token", "odds", "features", "own", "plain",
    "plain_rest", "noise", "within_at",
)  # fmt: skip
HALF = ("features", "own", "plain")
NUMBERS = ("noise_total", "folded", "plain_within", "root_sum")


def write_measured(measured: MeasuredGradients, path: Path) -> None:
    """Write a measurement as an npz archive of plain arrays, completely or not at all.

    Features are stored in half precision: their error, 1e-3 of a number, is far below that of a
    sketch. Positions are small. Everything else is stored as it is.

    Raises InputError for features beyond the range of half precision.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {name: getattr(measured, name) for name in ARRAYS}
    for name in HALF:
        if np.abs(arrays[name]).max(initial=0.0) > np.finfo(np.float16).max:
            raise InputError(f"{name} holds numbers above {np.finfo(np.float16).max:,.0f}")
        arrays[name] = arrays[name].astype(np.float16)
    arrays["prompt"] = measured.prompt.astype(np.int32)
    arrays["position"] = measured.position.astype(np.int16)
    arrays["token"] = measured.token.astype(np.int32)
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
    file = or_example(path)
    if not str(path):
        raise InputError("measured: needs the name of a file of `cobatrain gradients`")
    try:
        stamp = file.stat()
    except OSError:
        raise InputError(f"no such file of measured gradients: {path}") from None
    return _read(str(file), stamp.st_mtime_ns, stamp.st_size)


def read_measured_files(paths: str) -> list[MeasuredGradients]:
    """Measurements of the same prompts at several steps: comma-separated files, in order of steps.

    Raises InputError for a bad file, for two of one step, and for other prompts or alternatives
    than in the first.
    """
    names = paths.split(",")
    files = [read_measured_gradients(name) for name in names]
    order = np.argsort([file.step for file in files], kind="stable")
    files, names = [files[i] for i in order], [names[i] for i in order]
    for file, name, before in zip(files[1:], names[1:], files, strict=False):
        if file.step == before.step:
            raise InputError(f"{name} was measured at step {file.step}, as another file was")
        for array in ("heldout", "level", "prompt", "position", "token"):
            if not np.array_equal(getattr(file, array), getattr(files[0], array)):
                raise InputError(
                    f"{name} has other prompts or alternatives than {names[0]} ({array} differ): "
                    f"measure it with --like {names[0]}"
                )
        if (file.noise.size, file.folded) != (files[0].noise.size, files[0].folded):
            raise InputError(f"{name} has {file.noise.size} directions, not {files[0].noise.size}")
    return files


def _reason(error: Exception) -> str:
    """What is wrong with the file, in a few words of ours: numpy's speak of unsafe ways to read."""
    if isinstance(error, zipfile.BadZipFile | EOFError):
        return "cut short, or damaged"
    if isinstance(error, OSError):
        return " ".join(str(error).split())[:120]
    return "not in numpy's npz format, or without the measurement's arrays"


@lru_cache(maxsize=8)
def _read(path: str, _changed: int, _size: int) -> MeasuredGradients:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        head = json.loads(arrays.pop("head").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(
            f"{path} is not a whole file of measured gradients, as `cobatrain gradients` writes "
            f"them ({_reason(error)})"
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
    for name in HALF:
        kind = np.float32 if name == "features" else np.float64
        arrays[name] = arrays[name].astype(kind)
    for name in ("prompt", "position", "token"):
        arrays[name] = arrays[name].astype(np.int64)
    values: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
    try:
        values |= {name: float(head[name]) for name in NUMBERS}
        values["folded"] = int(head["folded"])
        return MeasuredGradients(**values, info=head["info"])
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
