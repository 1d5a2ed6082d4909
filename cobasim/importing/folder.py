"""The folder of an imported run: written aside, then renamed, so that it is whole or not there."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cobasim.errors import InputError
from cobasim.importing.collecting import LoggedStep
from cobasim.importing.outcome import PromptCounts
from cobasim.records import RunExistsError, RunHeader, RunWriter, StepRecord

GROUPS = "groups.parquet"
PASS_RATES = "pass_rates.csv"
SAMPLES = "samples.jsonl"


def check_new(out: Path) -> None:
    """Raise RunExistsError unless ``out`` can become a new run: missing, or an empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunExistsError(
            f"{out} exists and is not empty; runs are never overwritten: choose another --out"
        )


def check_outside(out: Path, log: Path) -> None:
    """Raise InputError if ``out`` lies inside the folder of a log."""
    if log.resolve() in out.resolve().parents:
        raise InputError(f"{out} lies inside the log {log}: choose --out elsewhere")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A new folder near ``out`` that takes its place at the end; removed if anything fails."""
    near = next(folder for folder in (*out.parents, Path()) if folder.exists())
    aside = near / f".{out.name}.{os.getpid()}.tmp"
    aside.mkdir()
    try:
        yield aside
        check_new(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            out.rmdir()
        aside.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_run(folder: Path, header: RunHeader, records: Iterable[StepRecord]) -> None:
    """Write header and steps into an empty folder."""
    with RunWriter(folder, header) as writer:
        for record in records:
            writer.append(record)


def write_groups(file: Path, steps: Sequence[LoggedStep]) -> None:
    """Write a row for each group of each step; prompts are rows of ``pass_rates.csv``, from 0."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lengths = np.concatenate([step.lengths for step in steps])
    numbers = [np.full(step.prompts.size, step.step) for step in steps]
    table = pa.table(
        {
            "step": np.concatenate(numbers),
            "prompt": np.concatenate([step.prompts for step in steps]),
            "budget": np.concatenate([step.budgets for step in steps]),
            "passes": np.concatenate([step.passes for step in steps]),
            "mean_reward": np.concatenate([step.rewards for step in steps]),
            "mean_length": pa.array(lengths, mask=np.isnan(lengths)),
        }
    )
    with file.open("wb") as target:  # pyarrow takes no path that is not UTF-8
        pq.write_table(table, target)


def write_pass_rates(file: Path, prompts: Sequence[str], counts: PromptCounts) -> None:
    """Write a row for each prompt, in the order of first rollouts; ``read_measured`` reads it."""
    columns = {
        "pass_rate": counts.pass_rate,
        "attempts": counts.rollouts,
        "last_pass_rate": counts.last_passes / counts.last_rollouts,
        "last_attempts": counts.last_rollouts,
        "visits": counts.visits,
    }
    with file.open("w", encoding="utf-8", errors="backslashreplace", newline="") as target:
        writer = csv.writer(target, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(["prompt", *columns])
        values = (column.tolist() for column in columns.values())
        writer.writerows(zip(prompts, *values, strict=True))


def write_samples(file: Path, samples: Sequence[dict[str, Any]]) -> None:
    """Write rollouts as text, one JSON object a line."""
    file.write_text("".join(json.dumps(sample) + "\n" for sample in samples), encoding="utf-8")
