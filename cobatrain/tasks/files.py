"""Tasks from files: jsonl, json, csv, parquet, arrow, and Hugging Face datasets on disk.

The published layouts are recognised by their columns: `problem`/`answer` (MATH-500, AIME),
`question`/`answer` (AMC23), `question`/`final_answer` (OlympiadBench, a list), and the chat-style
`prompt` with `reward_model.ground_truth` (DAPO-Math-17K). Other columns are named in the config.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from cobasim.errors import InputError, unknown_name
from cobatrain.tasks.base import (
    CustomRewardConfig,
    Prompt,
    RewardFunction,
    Settings,
    Task,
    check_disjoint,
    rng_of,
    text_key,
)
from cobatrain.tasks.verify import AnswerFrom, Limits, MathJudge, Verifier, custom_verifier

_SPLIT = 121

# (problem, answer), first match wins; names are compared without regard to case.
LAYOUTS = (
    ("prompt", "reward_model.ground_truth"),
    ("problem", "answer"),
    ("question", "answer"),
    ("question", "final_answer"),
    ("problem", "final_answer"),
    ("problem", "expected_answer"),
    ("prompt", "answer"),
    ("prompt", "ground_truth"),
)
_LEVELS = ("level", "difficulty")


class FileSource(Settings):
    """One data file or dataset folder; a plain string in a config is its path."""

    path: Path
    split: str | None = Field(default=None, description="of a folder with several splits")
    problem: str | None = Field(default=None, description="column, dots for nested ones")
    answer: str | None = Field(default=None, description="column, dots for nested ones")
    level: str | None = Field(
        default=None, description="column; none: `level` or `difficulty`, else the set's name"
    )


class FilesConfig(Settings):
    """Settings of a task from files."""

    kind: Literal["files"] = "files"
    train: FileSource
    heldout: dict[str, FileSource] = Field(default_factory=dict, description="name -> file")
    heldout_size: int = Field(
        default=0, ge=0, description="problems held out from train, as data set `heldout`"
    )
    instruction: str = Field(default="", description="appended to each problem")
    on_bad_row: Literal["error", "skip"] = "error"
    overlap: Literal["remove", "error"] = Field(
        default="remove", description="a train problem that is also held out"
    )
    answer_from: AnswerFrom = "marked"
    workers: int = Field(default=2, ge=1)
    cpu_seconds: float = Field(default=2.0, gt=0, description="per judged response")
    reward: CustomRewardConfig | None = None

    @field_validator("train", mode="before")
    @classmethod
    def _path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str | Path) else value

    @field_validator("heldout", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        if isinstance(value, Mapping):
            return {k: {"path": v} if isinstance(v, str | Path) else v for k, v in value.items()}
        return value


# --- rows ---------------------------------------------------------------------------------------


class _BadRow(Exception):
    """Why one row cannot be used."""


Row = tuple[str, dict[str, Any] | _BadRow]
"""("line 12" or "row 12", the row or why it cannot be read)."""


def _open_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): convert it") from error


def _jsonl(path: Path, _: tuple[str, ...]) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"line {number}"
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8
                yield where, _BadRow(f"not JSON ({error})")
                continue
            yield where, row if isinstance(row, dict) else _BadRow("not a JSON object")


def _json(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    try:
        content = json.loads(_open_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        try:  # some sets are JSON lines under the name .json
            first = json.loads(path.open("rb").readline())
        except ValueError:
            first = None
        if isinstance(first, dict):
            yield from _jsonl(path, columns)
            return
        raise InputError(f"{path} is not JSON: {error}") from error
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else content
    if not isinstance(content, list):
        raise InputError(f"{path}: expected a JSON list of objects, got {type(content).__name__}")
    for number, row in enumerate(content, 1):
        yield f"row {number}", row if isinstance(row, dict) else _BadRow("not a JSON object")


def _csv(path: Path, _: tuple[str, ...]) -> Iterator[Row]:
    csv.field_size_limit(1 << 27)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            while True:
                start = reader.line_num + 1
                try:
                    row: dict[str, Any] = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield f"line {start}", _BadRow(f"not CSV ({error})")
                    return
                where = f"line {max(start, 2)}"  # the header, read first, is line 1
                if None in row or None in row.values():
                    names = len(reader.fieldnames or ())
                    yield where, _BadRow(f"expected the header's {names} fields")
                else:
                    yield where, row
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): convert it") from error


def _batches(path: Path, columns: tuple[str, ...]) -> Iterator[Any]:
    """Record batches with the top-level columns needed; all columns if none are named."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            file = pq.ParquetFile(path)
            names = _top(columns, file.schema_arrow.names)
            yield from file.iter_batches(batch_size=8192, columns=names)
            return
        with pa.memory_map(str(path)) as source:
            try:
                reader = pa.ipc.open_stream(source)
            except pa.ArrowInvalid:
                source.seek(0)
                opened = pa.ipc.open_file(source)
                reader = (opened.get_batch(i) for i in range(opened.num_record_batches))
            for batch in reader:
                names = _top(columns, batch.schema.names)
                yield batch.select(names) if names is not None else batch
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise InputError(f"{path} cannot be read as {path.suffix[1:]}: {error}") from error


def _top(columns: tuple[str, ...], names: list[str]) -> list[str] | None:
    if not columns:
        return None
    wanted = {column.split(".")[0].lower() for column in columns}
    return [name for name in names if name.lower() in wanted]


def _arrow(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    number = 0
    for batch in _batches(path, columns):
        for row in batch.to_pylist():
            number += 1
            yield f"row {number}", row


READERS: dict[str, Callable[[Path, tuple[str, ...]], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _arrow,
    ".arrow": _arrow,
}


def data_files(path: Path, split: str | None) -> list[Path]:
    """The data files of a path: itself, or those of a dataset folder.

    Folders: what `save_to_disk` writes (one split, or several with `dataset_dict.json`), and a
    downloaded dataset repository (`<split>*.parquet|jsonl|json|csv|arrow` in it or in `data/`).
    Raises InputError if there is none, or several splits and no choice.
    """
    if path.is_file():
        if path.suffix not in READERS:
            raise InputError(f"{path}: unknown kind {path.suffix!r}, known: {', '.join(READERS)}")
        return [path]
    if not path.is_dir():
        raise InputError(f"{path} does not exist: give a data file or a dataset folder")
    if (path / "dataset_dict.json").is_file():
        splits = json.loads((path / "dataset_dict.json").read_text())["splits"]
        return data_files(path / _choose(path, split, list(splits)), None)
    if (path / "state.json").is_file():
        state = json.loads((path / "state.json").read_text())
        return [path / item["filename"] for item in state["_data_files"]]
    found: dict[str, list[Path]] = {}
    for folder in (path, path / "data"):
        for file in sorted(folder.glob("*")):
            if file.suffix in READERS and file.is_file() and file.name not in _NOT_DATA:
                found.setdefault(file.name.split("-0")[0].split(".")[0], []).append(file)
        if found:
            break
    if not found:
        raise InputError(f"{path} holds no data files ({', '.join(READERS)})")
    return found[_choose(path, split, list(found))]


_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "state.json", "config.json"}


def _choose(path: Path, split: str | None, splits: list[str]) -> str:
    if split is None:
        if len(splits) == 1:
            return splits[0]
        raise InputError(f"{path} has the splits {', '.join(splits)}: name one as `split`")
    if split not in splits:
        raise unknown_name(f"split of {path}", split, splits)
    return split


# --- columns ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Columns:
    problem: str
    answer: str
    level: str | None

    @property
    def names(self) -> tuple[str, ...]:
        extra = ("context", "modality")  # OlympiadBench
        return (self.problem, self.answer, *([self.level] if self.level else []), *extra)


def _get(row: Mapping[str, Any], column: str) -> Any:
    """The value under a dotted name, letter case ignored. Raises KeyError."""
    value: Any = row
    for part in column.split("."):
        if isinstance(value, str) and value.lstrip()[:1] == "{":  # a struct saved as JSON text
            try:
                value = json.loads(value)
            except ValueError:
                raise KeyError(column) from None
        if not isinstance(value, Mapping):
            raise KeyError(column)
        if part not in value:
            part = next((name for name in value if str(name).lower() == part.lower()), part)
        if part not in value:
            raise KeyError(column)
        value = value[part]
    return value


def _has(row: Mapping[str, Any], column: str) -> bool:
    try:
        _get(row, column)
    except KeyError:
        return False
    return True


def _columns(file: Path, row: Mapping[str, Any], source: FileSource) -> _Columns:
    """The columns to read, named or recognised from a row. Raises InputError naming those found."""
    given = [name for name in (source.problem, source.answer, source.level) if name]
    missing = [name for name in given if not _has(row, name)]
    found = ", ".join(map(str, row)) or "none"
    if missing:
        raise InputError(f"{file} has no column {', '.join(missing)}; its columns are: {found}")
    for problem, answer in LAYOUTS:
        problem, answer = source.problem or problem, source.answer or answer
        if _has(row, problem) and _has(row, answer):
            level = source.level or next((name for name in _LEVELS if _has(row, name)), None)
            return _Columns(problem, answer, level)
    raise InputError(
        f"{file}: no known pair of problem and answer columns among: {found}. Name them in the "
        "config as `problem` and `answer`"
    )


def answer_text(value: Any) -> str:
    """A reference answer as text: 142.0 is "142", a list is joined by commas.

    Raises ValueError for an empty answer or one that is no string, number or list of these.
    """
    if isinstance(value, bool) or value is None:
        raise ValueError("empty answer" if value is None else "the answer is true or false")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"the answer is {value}")
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, list):
        if not value:
            raise ValueError("empty answer")
        return ", ".join(answer_text(item) for item in value)
    if not isinstance(value, str):
        raise ValueError(f"the answer is a {type(value).__name__}")
    text = value.strip()
    if not text or not text.strip("$ "):
        raise ValueError("empty answer")
    return text


def _problem_text(value: Any) -> tuple[str, str | None]:
    """(problem, system message) of a text or of a chat with one user message. Raises _BadRow."""
    system = None
    if isinstance(value, list):
        users = []
        for message in value:
            role = message.get("role") if isinstance(message, dict) else None
            content = message.get("content") if isinstance(message, dict) else None
            if not isinstance(content, str) or role not in ("user", "system"):
                raise _BadRow("the prompt is no list of user and system messages")
            if role == "user":
                users.append(content)
            else:
                system = content
        if len(users) != 1:
            raise _BadRow(f"the prompt has {len(users)} user messages, expected 1")
        value = users[0]
    if not isinstance(value, str):
        raise _BadRow(f"the problem is {type(value).__name__}, expected text")
    if not value.strip():
        raise _BadRow("empty problem")
    return value.strip(), system


# --- loading ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """The usable rows of one source, each problem once."""

    prompts: tuple[Prompt, ...]
    duplicates: int
    """Rows dropped because their problem had come before with the same answer."""
    conflicting: int
    """Problems dropped because their rows disagree about the answer."""
    bad: tuple[str, ...]
    """Rows that could not be used, "file, line 12: why"; empty unless skipping was asked for."""


def load(
    source: FileSource, name: str, *, instruction: str = "", on_bad_row: str = "error"
) -> Loaded:
    """Reads a source; `name` is the level of prompts without one.

    Raises InputError for a missing or unreadable file, missing columns, no rows, and, unless
    `on_bad_row` is "skip", for malformed rows (all counted, the first five named by file and line
    or row number).
    """
    files = data_files(source.path, source.split)
    bad: list[str] = []
    raw: dict[tuple[str, str], tuple[str, str, str, str | None]] = {}
    rows = 0
    for file in files:
        columns: _Columns | None = None
        if file.suffix in (".parquet", ".arrow"):
            first = next((r for _, r in _arrow(file, ()) if isinstance(r, dict)), None)
            columns = _columns(file, first, source) if first is not None else None
        for where, row in READERS[file.suffix](file, columns.names if columns else ()):
            rows += 1
            try:
                if isinstance(row, _BadRow):
                    raise row
                columns = columns or _columns(file, row, source)
                problem, answer, level, system = _read(row, columns, name)
            except _BadRow as why:
                bad.append(f"{file}, {where}: {why}")
                continue
            raw.setdefault((problem, answer), (f"{file.name} {where}", level, answer, system))
    if rows == 0:
        raise InputError(f"{source.path} has no rows")
    if bad and on_bad_row == "error":
        shown = "\n  ".join(bad[:5] + ([f"and {len(bad) - 5} more"] if len(bad) > 5 else []))
        raise InputError(
            f"{len(bad)} of {rows} rows of {source.path} cannot be used (set on_bad_row to 'skip' "
            f"to leave them out):\n  {shown}"
        )

    answers: dict[str, str] = {}
    conflicts: set[str] = set()
    kept: dict[str, Prompt] = {}
    for (problem, answer), (where, level, _, system) in raw.items():
        key = text_key(problem)
        if answers.setdefault(key, answer) != answer:
            conflicts.add(key)
        if key not in kept:
            text = f"{problem}\n\n{instruction}" if instruction else problem
            metadata = {"key": key} | ({"system": system} if system else {})
            kept[key] = Prompt(text, answer, level, where, metadata)
    prompts = tuple(prompt for key, prompt in kept.items() if key not in conflicts)
    if not prompts:
        raise InputError(f"{source.path} has {rows} rows, and none can be used")
    duplicates = rows - len(bad) - len(kept)
    return Loaded(prompts, duplicates, len(conflicts), tuple(bad))


def _read(row: dict[str, Any], columns: _Columns, name: str) -> tuple[str, str, str, str | None]:
    """(problem, answer, level, system message) of a row. Raises _BadRow."""
    try:
        asked = _get(row, columns.problem)
        given = _get(row, columns.answer)
    except KeyError as error:
        raise _BadRow(f"no column {error.args[0]!r}") from None
    if str(row.get("modality") or "").lower().startswith("multi"):
        raise _BadRow("the problem needs an image")
    problem, system = _problem_text(asked)
    context = row.get("context")
    if isinstance(context, str) and context.strip():
        problem = f"{context.strip()}\n\n{problem}"
    try:
        answer = answer_text(given)
    except ValueError as why:
        raise _BadRow(str(why)) from None
    level = _get(row, columns.level) if columns.level and _has(row, columns.level) else None
    return problem, answer, name if level in (None, "") else str(level), system


def make_files(config: FilesConfig, seed: int) -> Task:
    """The task of the files in a config; the seed only chooses what `heldout_size` holds out.

    A train problem that is also held out is removed from train (`counts["overlap"]`), or an error.
    Reward: 1 where math-verify finds the response's final answer equal to the reference, else 0.
    Raises InputError as `load` does, and if nothing is left to train on.
    """
    counts: dict[str, int] = {}
    notes: list[str] = []

    def read(source: FileSource, name: str) -> tuple[Prompt, ...]:
        loaded = load(source, name, instruction=config.instruction, on_bad_row=config.on_bad_row)
        for reason, number, words in (
            ("bad rows", len(loaded.bad), "malformed rows skipped"),
            ("duplicates", loaded.duplicates, "rows that repeat a problem dropped"),
            ("conflicting", loaded.conflicting, "problems with contradicting answers dropped"),
        ):
            if number:
                counts[reason] = counts.get(reason, 0) + number
                notes.append(f"{source.path}: {number} {words}")
        notes.extend(loaded.bad[:5])
        return loaded.prompts

    if "heldout" in config.heldout and config.heldout_size:
        raise InputError("`heldout` names both a file and what heldout_size holds out: rename it")
    train = read(config.train, "train")
    heldout = {name: read(source, name) for name, source in config.heldout.items()}
    taken = {prompt.metadata["key"] for prompts in heldout.values() for prompt in prompts}
    overlap = [prompt for prompt in train if prompt.metadata["key"] in taken]
    if overlap:
        if config.overlap == "error":
            raise InputError(
                f"{len(overlap)} train problems are also held out, the first at "
                f"{overlap[0].source}: set overlap to 'remove' to drop them from train"
            )
        counts["overlap"] = len(overlap)
        notes.append(f"{len(overlap)} train problems are also held out: removed from train")
        train = tuple(prompt for prompt in train if prompt.metadata["key"] not in taken)
    if config.heldout_size:
        if config.heldout_size >= len(train):
            raise InputError(
                f"heldout_size {config.heldout_size} leaves nothing of {len(train)} problems"
            )
        order = rng_of(seed, _SPLIT).permutation(len(train))
        chosen = set(order[: config.heldout_size].tolist())
        heldout["heldout"] = tuple(p for i, p in enumerate(train) if i in chosen)
        train = tuple(p for i, p in enumerate(train) if i not in chosen)

    reward: RewardFunction
    if config.reward is not None:
        reward = custom_verifier(config.reward)
    else:
        reward = Verifier(
            MathJudge(config.answer_from),
            workers=config.workers,
            limits=Limits(cpu_seconds=config.cpu_seconds),
        )
    return check_disjoint(
        Task(config.train.path.stem, train, heldout, reward, counts, tuple(notes))
    )
