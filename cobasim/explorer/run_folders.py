"""Folders of runs as the app lists them, finished or being written, readable or not."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cobasim.errors import InputError
from cobasim.records import HEADER_FILE, STEPS_FILE, Run, RunHeader, read_end
from cobasim.runs import REPORT
from cobasim.scores import accuracy_curve, mean_interval

SAMPLES_FILE = "samples.jsonl"
MOST_RUNS = 2000
HIDDEN = ("planned", "created", "setting", "runs")
"""Columns that no table shows."""
FRESH = 60.0
"""Seconds since the last record after which an unfinished run counts as stopped."""


def run_folders(top: Path) -> list[tuple[str, Path]]:
    """(name, path) of everything below ``top`` that is a run, or looks like one; at most 2000."""
    folders = []
    for root, below, files in os.walk(top):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if HEADER_FILE in files or STEPS_FILE in files:
            path = Path(root)
            folders.append((str(path.relative_to(top)), path))
            below.clear()
    return sorted(folders)[:MOST_RUNS]


def written(path: Path) -> tuple[float, int]:
    """(time of the last record, bytes of records) of a run; changes whenever it grows."""
    try:
        status = (path / STEPS_FILE).stat()
        return status.st_mtime, status.st_size
    except OSError:
        return 0.0, 0


def describe_run(path: str) -> dict[str, Any]:
    """One row of the table of runs, from its end; what cannot be read there is a ``problem``.

    ``planned``: the steps that the run was started with; None if its header does not say.
    ``created``: when. ``setting``: equal for runs that differ in their seed only.
    """
    row: dict[str, Any] = {"problem": "", "planned": None, "created": "", "setting": ""}
    try:
        run = read_end(path)
    except (InputError, OSError) as error:
        text = str(error).replace(path + os.sep, "").replace(path, "folder")
        return row | {"problem": " ".join(text.split())[:300]}
    head = run.header
    loop = head.config.get("loop", {}) if isinstance(head.config, dict) else {}
    _, accuracy = accuracy_curve(run)
    return {
        "source": head.source,
        "allocator": head.allocator,
        "weighting": head.weighting,
        "seed": head.seed,
        "world or model": head.world,
        "steps": run.steps[-1].step if run.steps else 0,
        "held-out (%)": round(100 * float(accuracy[-1]), 2) if accuracy.size else None,
        **row,
        "planned": loop.get("steps") if isinstance(loop, dict) else None,
        "created": head.created,
        "setting": _setting(head),
    }


def _setting(head: RunHeader) -> str:
    """A short name of everything that a run was told, but its seed."""
    config = head.config if isinstance(head.config, dict) else {}
    told = {name: value for name, value in config.items() if name != "seed"}
    text = json.dumps(
        [head.source, head.allocator, head.estimator, head.weighting, head.world, told],
        sort_keys=True,
        default=str,
    )
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def grouped(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per setting: mean and half a 95 % interval of its seeds' last held-out accuracies.

    rows: of ``describe_run`` with ``run``, the name of the folder. Runs that cannot be read are
    left out. ``runs``: the names of each setting's runs. Runs of one setting in different parent
    folders are different settings: nothing says that they belong together.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if not row["problem"]:
            above = row["run"].rpartition("/")[0]
            groups.setdefault((above, row["setting"]), []).append(row)
    result = []
    for (above, _), group in groups.items():
        first = group[0]
        known = [row["held-out (%)"] for row in group if row["held-out (%)"] is not None]
        mean = mean_interval(known) if known else None
        result.append(
            {
                "folder": above or ".",
                "allocator": first["allocator"],
                "weighting": first["weighting"],
                "world or model": first["world or model"],
                "seeds": len({row["seed"] for row in group}),
                "steps": min(row["steps"] for row in group),
                "held-out (%)": None if mean is None else round(mean.mean, 2),
                "± (95 %)": (
                    None if mean is None or mean.high is None else round(mean.high - mean.mean, 2)
                ),
                "runs": [row["run"] for row in group],
            }
        )
    return result


def matching(rows: Sequence[Mapping[str, Any]], words: str) -> list[Mapping[str, Any]]:
    """The rows in which each of some words stands somewhere, letter case ignored."""
    wanted = words.lower().split()

    def text(row: Mapping[str, Any]) -> str:
        shown = (value for name, value in row.items() if name not in HIDDEN)
        return " ".join(str(value) for value in shown).lower()

    return [row for row in rows if all(word in text(row) for word in wanted)]


def reports_of(names: Sequence[str], top: Path) -> dict[str, Path]:
    """Reports that stand in a folder above some runs, by the folder's name; the nearest of each."""
    found: dict[str, Path] = {}
    for name in names:
        for folder in (top / name).parents:
            if not folder.is_relative_to(top):
                break
            if (folder / REPORT).is_file():
                found[str(folder.relative_to(top))] = folder / REPORT
                break
    return found


def state(row: Mapping[str, Any], seconds: float) -> str:
    """What a run is doing, ``seconds`` after its last record; ``row`` of ``describe_run``."""
    if row["problem"]:
        return "unreadable"
    if row["planned"] and row["steps"] >= row["planned"]:
        return "finished"
    return "running" if seconds < FRESH else "stopped"


def run_time_left(row: Mapping[str, Any], last: float) -> str | None:
    """Time left of a run that is being written; ``last``: time of its last record, in seconds."""
    try:
        began = datetime.fromisoformat(row["created"]).timestamp()
    except (TypeError, ValueError):
        return None
    return time_left(row["steps"], row["planned"] or 0, last - began)


def time_left(done: float, total: float, seconds: float) -> str | None:
    """In words, at the pace so far: ``done`` of ``total`` took ``seconds``; None if not known."""
    if done <= 0 or seconds <= 0 or done >= total:
        return None
    left = seconds * (total - done) / done
    for size, unit in ((86_400.0, "days"), (3600.0, "hours"), (60.0, "min")):
        if left >= 2 * size:
            return f"about {left / size:.0f} {unit} left"
    return f"about {max(round(left), 1)} s left"


def shortened(runs: Mapping[str, Run]) -> dict[str, Run]:
    """The runs by shorter names: without the folders that all of them share."""
    if len(runs) == 1:
        return {Path(name).name if name != "." else "run": run for name, run in runs.items()}
    parent = os.path.commonpath(list(runs))
    return {os.path.relpath(name, parent) if parent else name: run for name, run in runs.items()}


def has_column(run: Run, column: str) -> bool:
    """Whether the last steps of a run recorded a column, "name" or "learner.name".

    Of "evaluation.name": whether any of its evaluations did, which are few.
    """
    kind, _, name = column.partition(".")
    if kind == "learner":
        return any(name in step.learner for step in run.steps[-50:])
    if kind == "evaluation":
        return any((step.evaluation or {}).get(name) is not None for step in run.steps)
    return any(getattr(step, column) is not None for step in run.steps[-50:])


def last_samples(folder: Path) -> list[dict[str, Any]]:
    """The last recorded rollouts of a run, the newest first; at most 60, long texts cut."""
    file = folder / SAMPLES_FILE
    if not file.exists():
        return []
    with file.open("rb") as handle:
        handle.seek(max(file.stat().st_size - 200_000, 0))
        lines = handle.read().splitlines()[-60:]
    samples = []
    for line in lines:
        try:
            sample = json.loads(line)
        except ValueError:  # the first is cut, or the last is being written
            continue
        if isinstance(sample, dict):
            samples.append({str(key): _cut(value) for key, value in sample.items()})
    return samples[::-1]


def _cut(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else str(value)[:2000]
