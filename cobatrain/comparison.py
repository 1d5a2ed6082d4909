"""The real comparison: allocators x weightings x seeds on one task, resumable, scored as cobasim.

Every run is a process of its own (``cobatrain train``), so that nothing leaks from one to the
next. A run that was finished is not run again, one that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cobasim.errors import InputError
from cobasim.records import HEADER_FILE, Run, read_run, write_atomically
from cobasim.report import write_report
from cobasim.scores import Row, comparison_table, verdict
from cobatrain.config import TrainConfig, difference

BASELINE = "uniform"
PLAN, NUMBERS, REPORT, CONFIG = "plan.json", "comparison.json", "report.html", "config.yaml"


@dataclass(frozen=True)
class Plan:
    """What is compared: one config, changed in allocator, weighting and seed only."""

    config: TrainConfig
    allocators: tuple[str, ...]
    weightings: tuple[str, ...]
    seeds: tuple[int, ...]

    def runs(self) -> Iterator[tuple[str, str, int]]:
        """(weighting, allocator, seed), seeds slowest. Uniform runs once: weightings do not
        differ for groups of equal size."""
        for seed in self.seeds:
            for weighting in self.weightings:
                for allocator in self.allocators:
                    if allocator != BASELINE or weighting == self.weightings[0]:
                        yield weighting, allocator, seed


def run_directory(out: Path, weighting: str, allocator: str, seed: int) -> Path:
    """Where one run is written."""
    return out / weighting / allocator / f"seed-{seed:03d}"


def claim(plan: Plan, out: Path) -> None:
    """Make the folder, or check that it is this very plan's.

    Raises InputError for a folder of another plan, or of something else.
    """
    values = {
        "config": plan.config.model_dump(mode="json"),
        "allocators": list(plan.allocators),
        "weightings": list(plan.weightings),
        "seeds": list(plan.seeds),
    }
    if (out / PLAN).exists():
        stored = json.loads((out / PLAN).read_text())
        changed = difference(plan.config, stored["config"])
        changed += [
            key for key in ("allocators", "weightings", "seeds") if stored[key] != values[key]
        ]
        if changed:
            raise InputError(
                f"{out} holds another comparison ({', '.join(changed[:5])} differ); choose another "
                "--out"
            )
        return
    if out.exists() and any(out.iterdir()):
        raise InputError(
            f"{out} exists and holds no comparison to go on with; choose another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / CONFIG).write_text(yaml.safe_dump(values["config"], sort_keys=False))
    write_atomically(out / PLAN, json.dumps(values, indent=1) + "\n")


def run_all(
    plan: Plan,
    out: Path,
    *,
    jobs: int = 1,
    on_finished: Callable[[], None] = lambda: None,
) -> None:
    """Run what is not finished yet, ``jobs`` processes at a time, one thread each.

    Raises RuntimeError with the last line of a run that failed; the others are kept.
    """
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(_run_one, plan, out, *one): one for one in plan.runs()}
        failed = []
        for future in as_completed(waiting):
            try:
                future.result()
            except RuntimeError as error:
                failed.append(str(error))
            on_finished()
    if failed:
        raise RuntimeError("; ".join(failed))


def _run_one(plan: Plan, out: Path, weighting: str, allocator: str, seed: int) -> None:
    folder = run_directory(out, weighting, allocator, seed)
    command = [sys.executable, "-m", "cobatrain"]
    if (folder / HEADER_FILE).exists():
        steps = read_run(folder).steps
        if steps and steps[-1].step == plan.config.loop.steps:
            return
        command += ["resume", str(folder)]
    else:
        command += ["train", str(out / CONFIG), "--allocator", allocator]
        command += ["--weighting", weighting, "--seed", str(seed), "--out", str(folder)]
    environment = {"OMP_NUM_THREADS": "1"} | os.environ
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise RuntimeError(f"{folder} ended with code {done.returncode}: {lines[-1]}")


def read_runs(plan: Plan, out: Path) -> list[Run]:
    """All runs; uniform's stand under every weighting, since they are the same there."""
    runs = []
    for weighting, allocator, seed in plan.runs():
        run = read_run(run_directory(out, weighting, allocator, seed))
        shared = plan.weightings if allocator == BASELINE else (weighting,)
        runs.extend(replace(run, header=replace(run.header, weighting=name)) for name in shared)
    return runs


def score(plan: Plan, out: Path, *, command: str) -> tuple[list[Row], dict[str, str]]:
    """Table and verdicts of finished runs; writes the numbers and the report below ``out``."""
    runs = read_runs(plan, out)
    rows = comparison_table(runs, BASELINE)
    verdicts = verdict(rows)
    numbers: dict[str, Any] = {"rows": [asdict(row) for row in rows], "verdicts": verdicts}
    write_atomically(out / NUMBERS, json.dumps(numbers, indent=1) + "\n")
    write_report(
        out / REPORT,
        runs,
        rows,
        title="Rollout-budget allocators, a real language model",
        settings=_flat(plan.config.model_dump(mode="json")),
        verdicts=verdicts,
        command=command,
    )
    return rows, verdicts


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        elif prefix + key not in ("allocator", "weighting", "seed"):
            flat[prefix + key] = value
    return flat
