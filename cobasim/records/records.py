"""Run directories: one header, append-only steps; written by any learner, read by everybody.

A run directory holds ``header.json`` (written once, atomically) and ``steps.jsonl`` (one JSON
object per line, each line handed to the system in one write).  It can be read while the run
goes on, and after a kill it is complete up to the last whole line.  ``docs/records.md`` is the
description of the format for people who write or read it from elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.errors import InputError

FORMAT: Final = 1
HEADER_FILE: Final = "header.json"
STEPS_FILE: Final = "steps.jsonl"

PASS_RATE_BINS: Final[tuple[str, ...]] = (
    "0",
    *(f"{low / 10:.1f}–{(low + 1) / 10:.1f}" for low in range(10)),
    "1",
    "unseen",
)
"""Labels of the 13 pass-rate bins: exactly 0; (0, 0.1] .. (0.8, 0.9]; (0.9, 1); exactly 1; unseen.

Labels only: inner bins are open below and closed above, but for (0.9, 1), which is open.
"""

# A pass rate k/n is the double nearest to the ratio, and so is j/10: equal ratios compare equal.
_BIN_EDGES: Final = np.append(np.arange(10) / 10, np.nextafter(1.0, 0.0))
_UNSEEN: Final = len(PASS_RATE_BINS) - 1


class RunExistsError(InputError):
    """The directory for a new run holds something already; runs are never overwritten."""


def bin_counts(
    pass_rate: ArrayLike, seen: ArrayLike, budgets: ArrayLike, mixed: ArrayLike
) -> dict[str, list[int]]:
    """Count prompts, rollouts and mixed groups by the pass rate that the allocator saw.

    pass_rate: (m,) estimates in [0, 1] (ignored, NaN allowed, where unseen); seen: (m,) bool;
    budgets: (m,) rollouts; mixed: (m,) bool, true where the group had both outcomes.
    Returns ``{"prompts": [13], "rollouts": [13], "mixed": [13]}``, bins as in PASS_RATE_BINS.
    """
    index = np.where(seen, np.searchsorted(_BIN_EDGES, pass_rate), _UNSEEN)
    size = len(PASS_RATE_BINS)
    rollouts = np.bincount(index, weights=np.asarray(budgets), minlength=size)
    mixed_groups = np.bincount(index[np.asarray(mixed, dtype=bool)], minlength=size)
    return {
        "prompts": np.bincount(index, minlength=size).tolist(),
        "rollouts": rollouts.astype(np.int64).tolist(),
        "mixed": mixed_groups.tolist(),
    }


def _plain(value: object) -> object:
    """Turn numpy values and paths into what JSON knows (the encoder's hook)."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


_ENCODER: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_plain)


def _finite(value: object) -> object:
    """Copy a JSON value with None in place of NaN and infinities, which JSON does not have."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _encode(payload: Mapping[str, Any], what: str) -> str:
    try:
        try:
            return _ENCODER.encode(payload)
        except ValueError:  # NaN or infinity somewhere, which is rare: store null there
            return _ENCODER.encode(_finite(payload))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{what} cannot be stored as JSON: {error}; pass plain numbers, texts, lists and dicts"
        ) from error


def _decode(text: str | bytes) -> Any:
    """Parse JSON; NaN and infinities, which are not JSON but seen in the wild, become None."""
    return json.loads(text, parse_constant=lambda _: None)


@dataclass(frozen=True)
class RunHeader:
    """What is known of a run before its first step; ``create`` fills in time and versions."""

    source: str
    """Who wrote the run: ``sim`` or ``train``."""
    created: str
    """Time of creation, ISO 8601."""
    versions: dict[str, str]
    """Versions of cobasim, numpy and python (and whatever else the learner names)."""
    seed: int
    allocator: str
    """Name of the allocator; oracles start with ``oracle-``."""
    estimator: str
    weighting: str
    """How prompts count in the loss: ``rollout``, ``prompt`` or ``token``."""
    world: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @classmethod
    def create(
        cls,
        *,
        source: str,
        seed: int,
        allocator: str,
        estimator: str,
        weighting: str,
        world: str | None = None,
        config: Mapping[str, Any] | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> RunHeader:
        """Make a header stamped with the present time and the versions in use.

        versions: further versions to record, such as torch's.
        """
        return cls(
            source=source,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={**own_versions(), **(versions or {})},
            seed=seed,
            allocator=allocator,
            estimator=estimator,
            weighting=weighting,
            world=world,
            config=dict(config or {}),
        )

    def to_json(self) -> str:
        """Return the header as one JSON object; ValueError if config holds what JSON has not."""
        payload = vars(self)
        return _encode({"format": payload["format"], **payload}, "the run header")

    @classmethod
    def from_json(cls, text: str | bytes) -> RunHeader:
        """Parse a header; unknown keys are ignored; ValueError says what is wrong."""
        try:
            payload = _decode(text)
        except ValueError as error:
            raise InputError(f"not valid JSON ({error})") from error
        if not isinstance(payload, dict) or "format" not in payload:
            raise InputError("not a run header: expected a JSON object with the key 'format'")
        if payload["format"] != FORMAT:
            raise InputError(
                f"format {payload['format']!r} is not known, expected {FORMAT}; "
                "read it with the version that wrote it"
            )
        for name, kind in _HEADER_TYPES.items():
            if type(payload.get(name)) not in kind:
                raise InputError(f"{name!r} is {payload.get(name)!r}, expected {kind[0].__name__}")
        return cls(**{name: payload[name] for name in _HEADER_NAMES if name in payload})


_HEADER_NAMES: Final = tuple(item.name for item in fields(RunHeader))
_HEADER_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "source": (str,),
    "created": (str,),
    "versions": (dict,),
    "seed": (int,),
    "allocator": (str,),
    "estimator": (str,),
    "weighting": (str,),
    "world": (str, type(None)),
    "config": (dict,),
}


def own_versions() -> dict[str, str]:
    """Versions of this package, numpy and Python."""
    try:
        own = metadata.version("coba-testbed")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        own = "unknown"
    return {"cobasim": own, "numpy": np.__version__, "python": platform.python_version()}


@dataclass(frozen=True)
class StepRecord:
    """One line of ``steps.jsonl``, written after ``step`` updates; None = not measured.

    Step 0 comes before any update and holds only the first evaluation.
    """

    step: int
    """Policy updates made so far."""
    rollouts: int
    """Rollouts sampled so far in the whole run, evaluation not counted."""
    prompts: int | None = None
    """Prompts in this step's batch (M)."""
    alpha: float | None = None
    """First shape of the preference density (Eq. 7 of arXiv 2602.03048)."""
    beta: float | None = None
    """Second shape."""
    failure_rate: float | None = None
    """Failure rate of this step's rollouts: the mean over prompts, not over rollouts."""
    smoothed_failure_rate: float | None = None
    """The failure rate that the allocator was told."""
    effective_ratio: float | None = None
    """Share of this step's groups with both outcomes, that is with a gradient."""
    budget_min: int | None = None
    budget_max: int | None = None
    budget_gini: float | None = None
    """Gini coefficient of the budgets: 0 = all equal."""
    bins: dict[str, list[int]] | None = None
    """What ``bin_counts`` returns."""
    never_mixed: float | None = None
    """Share of the prompts visited so far that never had a group with both outcomes."""
    allocate_ms: float | None = None
    """Milliseconds spent allocating in this step."""
    learner: dict[str, float] = field(default_factory=dict)
    """The learner's own numbers, such as grad_norm; non-finite ones are read back as NaN."""
    evaluation: dict[str, Any] | None = None
    """Accuracies (``heldout``, ``hard``, ``pool``; others allowed) and ``transitions``: 5 x 5
    counts over the pool, rows = class at step 0, columns = class now (DIFFICULTY_CLASSES)."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys of the line that this version does not know; written back beside the others."""

    def to_json(self) -> str:
        """Return the record as one line of JSON without the newline; NaN and inf become null."""
        payload = dict(vars(self))
        extra = payload.pop("extra")
        if extra:
            payload = {**extra, **payload}  # a known field wins over a key of the same name
        return _encode(payload, f"step {self.step}")

    @classmethod
    def from_json(cls, text: str | bytes) -> StepRecord:
        """Parse one line; ValueError says what is wrong with it."""
        return cls.from_dict(_decode(text))

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> StepRecord:
        """Check a parsed line and make a record of it; ValueError says what is wrong with it."""
        if type(payload) is not dict:
            raise InputError(f"expected a JSON object, got {type(payload).__name__}")
        for name in ("step", "rollouts"):
            if type(payload.get(name)) is not int or payload[name] < 0:
                raise InputError(
                    f"{name!r} is {payload.get(name)!r}, expected an integer of at least 0"
                )
        for name in _NUMBERS:
            if type(payload.get(name)) not in _NUMBER_OR_NONE:
                raise InputError(f"{name!r} is {payload[name]!r}, expected a number or null")
        if payload.get("bins") is not None:
            _check_bins(payload["bins"])
        if payload.get("evaluation") is not None:
            _check_evaluation(payload["evaluation"])
        learner = payload.get("learner")
        if learner is None:
            payload["learner"] = {}
        elif type(learner) is not dict:
            raise InputError(f"'learner' is {learner!r}, expected an object of numbers")
        else:
            for name, value in learner.items():
                if type(value) not in _NUMBER_OR_NONE:
                    raise InputError(f"'learner' {name!r} is {value!r}, expected a number or null")
                if value is None:
                    learner[name] = math.nan
        extra = {name: payload.pop(name) for name in payload.keys() - _STEP_NAMES}
        return cls(**payload, extra=extra)


_STEP_NAMES: Final = {item.name for item in fields(StepRecord)} - {"extra"}
_NUMBERS: Final = (
    "prompts",
    "alpha",
    "beta",
    "failure_rate",
    "smoothed_failure_rate",
    "effective_ratio",
    "budget_min",
    "budget_max",
    "budget_gini",
    "never_mixed",
    "allocate_ms",
)
_NUMBER_OR_NONE: Final = frozenset((int, float, type(None)))
_INTEGERS: Final = frozenset((int,))


def _check_bins(bins: Any) -> None:
    size = len(PASS_RATE_BINS)
    for name in ("prompts", "rollouts", "mixed"):
        counts = bins.get(name) if type(bins) is dict else None
        if (
            type(counts) is not list
            or len(counts) != size
            or not _INTEGERS.issuperset(map(type, counts))
        ):
            raise InputError(f"'bins' {name!r} is {counts!r}, expected {size} integers")


def _check_evaluation(evaluation: Any) -> None:
    if type(evaluation) is not dict:
        raise InputError(f"'evaluation' is {evaluation!r}, expected an object")
    for name in ("heldout", "hard", "pool"):
        if type(evaluation.get(name)) not in _NUMBER_OR_NONE:
            raise InputError(
                f"'evaluation' {name!r} is {evaluation[name]!r}, expected a number or null"
            )
    rows = evaluation.get("transitions")
    size = len(DIFFICULTY_CLASSES)
    if rows is not None and not (
        type(rows) is list
        and len(rows) == size
        and all(
            type(row) is list and len(row) == size and _INTEGERS.issuperset(map(type, row))
            for row in rows
        )
    ):
        raise InputError(f"'transitions' is {rows!r}, expected {size} x {size} integers")


@dataclass(frozen=True)
class Run:
    """A run as read from disk: its header, its whole lines so far, and where it came from."""

    header: RunHeader
    steps: tuple[StepRecord, ...]
    path: Path


class RunWriter:
    """Writes one run directory; a context manager.

    Raises RunExistsError if the directory holds anything, OSError (with the path) when the
    disk refuses; a directory that could not be started is not left behind.
    """

    path: Path
    header: RunHeader

    def __init__(self, path: str | os.PathLike[str], header: RunHeader) -> None:
        self.path = Path(path)
        self.header = header
        text = header.to_json()
        created = _claim(self.path)
        try:
            write_atomically(self.path / HEADER_FILE, text + "\n")
            self._open(last_step=-1)
        except OSError:
            with contextlib.suppress(OSError):
                (self.path / HEADER_FILE).unlink(missing_ok=True)
                if created:
                    self.path.rmdir()
            raise

    @classmethod
    def resume(cls, path: str | os.PathLike[str], step: int) -> RunWriter:
        """Open an existing run to go on after ``step``: keeps the records with step <= step.

        A partial last line and all later records are cut off.  Raises ValueError if the
        directory is not a run or a kept line is malformed.
        """
        writer = cls.__new__(cls)
        writer.path = Path(path)
        writer.header = read_header(path)
        file = writer.path / STEPS_FILE
        data = _whole_lines(file)
        records = _parse_steps(data, file)
        kept = sum(record.step <= step for record in records)
        length = 0
        for _ in range(kept):
            length = data.index(b"\n", length) + 1
        writer._open(last_step=records[kept - 1].step if kept else -1)
        os.ftruncate(writer._file, length)
        return writer

    def _open(self, last_step: int) -> None:
        self._last_step = last_step
        self._file = os.open(
            self.path / STEPS_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666
        )

    def append(self, step: StepRecord) -> None:
        """Write one record as one line; steps must increase; OSError leaves no partial line."""
        if self._file < 0:
            raise ValueError(f"the run {self.path} is closed; open it again with RunWriter.resume")
        if step.step <= self._last_step:
            raise ValueError(
                f"step {step.step} was given after step {self._last_step}; steps must increase"
            )
        line = step.to_json().encode() + b"\n"
        try:
            written = os.write(self._file, line)
        except OSError as error:
            self._fail(error.errno or errno.EIO)
        if written != len(line):  # the disk filled up in the middle of the line: take it back
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            self._fail(errno.ENOSPC)
        self._last_step = step.step

    def _fail(self, code: int) -> NoReturn:
        raise OSError(code, os.strerror(code), str(self.path / STEPS_FILE))

    def close(self) -> None:
        """Hand everything to the disk and close; closing twice is harmless."""
        if self._file >= 0:
            file, self._file = self._file, -1
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _claim(path: Path) -> bool:
    """Make sure that path is an empty directory; true if it was created here."""
    try:
        path.mkdir(parents=True)
    except FileExistsError as error:
        if not path.is_dir():
            raise RunExistsError(f"{path} is a file; name a new directory for the run") from error
        if any(path.iterdir()):
            raise RunExistsError(
                f"{path} is not empty; name a new directory for the run, or remove this one"
            ) from error
        return False
    return True


def folder_name(name: str) -> str:
    """A name from outside as the name of one folder, on any system; different for different names.

    Letters, digits, ``-``, ``_`` and ``.`` stay, all else is percent-encoded: an import path
    ``module:Class`` or the path of a file makes no folder of its own. What would be too long ends
    in a hash.
    """
    safe = quote(name, safe="", errors="surrogatepass").replace("~", "%7E")
    if safe.strip(".") == "":
        safe = safe.replace(".", "%2E")
    if len(safe) > 120:
        safe = f"{safe[:100]}-{hashlib.blake2b(safe.encode(), digest_size=8).hexdigest()}"
    return safe


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or nothing: aside, then rename, both synced."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        code = error.errno or errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error
    with contextlib.suppress(OSError):  # some file systems cannot sync a directory
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_header(path: str | os.PathLike[str]) -> RunHeader:
    """Read the header of a run directory; ValueError if it is missing, foreign or malformed."""
    folder = Path(path)
    file = folder / HEADER_FILE
    try:
        data = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"has no {HEADER_FILE}" if folder.is_dir() else "is not a directory"
        raise InputError(f"{folder} {problem}; expected a run directory") from error
    try:
        return RunHeader.from_json(data)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from error


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a run directory, finished or not; a partial last line is left out.

    Raises ValueError if the directory is missing or foreign, or a whole line is malformed.
    """
    header = read_header(path)
    file = Path(path) / STEPS_FILE
    return Run(header, tuple(_parse_steps(_whole_lines(file), file)), Path(path))


def find_runs(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the run directories at or below a folder, sorted; ValueError if it is missing."""
    if not Path(folder).is_dir():
        raise InputError(f"{folder} is not a directory; expected a folder that holds runs")
    found = []
    for root, below, files in os.walk(folder):
        if HEADER_FILE in files:
            found.append(Path(root))
            below.clear()  # runs do not hold runs
    return sorted(found)


def columns(run: Run) -> dict[str, NDArray[np.float64]]:
    """Return the numbers of a run as columns, (steps,) floats each; NaN = not measured.

    The learner's numbers are named ``learner.NAME``, accuracies ``evaluation.NAME``.
    """
    table: dict[str, NDArray[np.float64]] = {}
    for name in ("step", "rollouts", *_NUMBERS):
        values = [getattr(step, name) for step in run.steps]
        table[name] = np.array(values, dtype=np.float64)  # None becomes NaN
    nested = {
        "learner": [step.learner for step in run.steps],
        "evaluation": [step.evaluation or {} for step in run.steps],
    }
    for prefix, items in nested.items():
        names = dict.fromkeys(name for item in items for name in item)
        for name in names:
            values = [item.get(name) for item in items]
            if all(value is None or isinstance(value, (int, float)) for value in values):
                table[f"{prefix}.{name}"] = np.array(values, dtype=np.float64)
    return table


def _whole_lines(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except FileNotFoundError:  # the run was only just started
        return b""
    return data[: data.rfind(b"\n") + 1]


def _parse_steps(data: bytes, file: Path) -> list[StepRecord]:
    if not data:
        return []
    try:  # all lines in one call, which is quicker
        payloads = _decode(b"[" + data[:-1].replace(b"\n", b",") + b"]")
        records = [StepRecord.from_dict(payload) for payload in payloads]
    except ValueError:  # some line is malformed: find it
        records = []
        for number, line in enumerate(data.splitlines(), start=1):
            try:
                records.append(StepRecord.from_json(line))
            except ValueError as error:
                raise InputError(f"{file}, line {number}: {error}") from error
    for number, (before, after) in enumerate(itertools.pairwise(records), start=2):
        if after.step <= before.step:
            raise InputError(
                f"{file}, line {number}: step {after.step} follows step {before.step}; "
                "steps must increase (did two runs write here?)"
            )
    return records
