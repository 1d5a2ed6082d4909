"""The real comparison: allocators x weightings x seeds on one task, resumable, scored as cobasim.

Every run is a process of its own (``cobatrain train``), so that nothing leaks from one to the
next. A run that was finished is not run again, one that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cobasim.errors import InputError
from cobasim.records import HEADER_FILE, Run, folder_name, read_run, write_atomically
from cobasim.report import write_report
from cobasim.scores import Row, comparison_table, verdict
from cobatrain.config import TrainConfig, difference

BASELINE = "uniform"
ALIKE = ("rollout", "prompt")  # the same loss for groups of equal size
PLAN, NUMBERS, REPORT, CONFIG = "plan.json", "comparison.json", "report.html", "config.yaml"


class RunFailed(RuntimeError):
    """A run of a comparison did not end well; the others are kept."""


@dataclass(frozen=True)
class Plan:
    """What is compared: one config, changed in allocator, weighting and seed only."""

    config: TrainConfig
    allocators: tuple[str, ...]
    weightings: tuple[str, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        for kind in ("allocators", "weightings", "seeds"):
            named: tuple[object, ...] = getattr(self, kind)
            if not named:
                raise InputError(f"{kind}: name at least one")
            if len(set(named)) < len(named):
                raise InputError(f"{kind}: one is named twice in {', '.join(map(str, named))}")

    def source(self, weighting: str, allocator: str) -> str:
        """The weighting under which a run is made that stands for ``weighting`` too.

        With groups of one size, per rollout and per prompt are the same loss, so uniform runs
        once for both. Per token is another loss, and so is every weighting when the total does
        not divide by the number of prompts.
        """
        loop = self.config.loop
        equal = allocator == BASELINE and loop.total_budget % loop.batch_size == 0
        shared = [name for name in self.weightings if name in ALIKE]
        return shared[0] if equal and weighting in ALIKE else weighting

    def runs(self) -> Iterator[tuple[str, str, int]]:
        """(weighting, allocator, seed) of every run to be made, seeds slowest."""
        for seed in self.seeds:
            for weighting in self.weightings:
                for allocator in self.allocators:
                    if self.source(weighting, allocator) == weighting:
                        yield weighting, allocator, seed


def run_directory(out: Path, weighting: str, allocator: str, seed: int) -> Path:
    """Where one run is written."""
    return out / weighting / folder_name(allocator) / f"seed-{seed:03d}"


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

    Raises RunFailed with the last line of the runs that failed, once the others are done. On
    Ctrl-C no run is begun any more, and those under way save and stop.
    """
    pool = ThreadPoolExecutor(jobs)
    running: set[subprocess.Popen[str]] = set()
    stop = threading.Event()
    failed = []
    try:
        waiting = [pool.submit(_run_one, plan, out, running, stop, *one) for one in plan.runs()]
        for future in as_completed(waiting):
            try:
                future.result()
            except RunFailed as error:
                failed.append(str(error))
            on_finished()
    except BaseException:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        for process in tuple(running):
            process.send_signal(signal.SIGTERM)  # saves, as Ctrl-C does
        raise
    finally:
        pool.shutdown(wait=True)
    if failed:
        raise RunFailed("; ".join(failed))


def _run_one(
    plan: Plan,
    out: Path,
    running: set[subprocess.Popen[str]],
    stop: threading.Event,
    weighting: str,
    allocator: str,
    seed: int,
) -> None:
    folder = run_directory(out, weighting, allocator, seed)
    command = [sys.executable, "-m", "cobatrain"]
    if (folder / HEADER_FILE).exists():
        try:
            steps = read_run(folder).steps
        except InputError as error:
            raise RunFailed(str(error)) from error
        if steps and plan.config.loop.finished(steps[-1].step, steps[-1].rollouts):
            return
        command += ["resume", str(folder)]
    else:
        command += ["train", str(out / CONFIG), "--allocator", allocator]
        command += ["--weighting", weighting, "--seed", str(seed), "--out", str(folder)]
    environment = {"OMP_NUM_THREADS": "1"} | os.environ
    # in a session of its own: a Ctrl-C reaches it once, through run_all
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    running.add(process)
    if stop.is_set():
        process.terminate()
    _, errors = process.communicate()
    running.discard(process)
    if process.returncode != 0:
        lines = errors.strip().splitlines() or ["no message"]
        raise RunFailed(f"{folder} ended with code {process.returncode}: {lines[-1]}")


def read_runs(plan: Plan, out: Path) -> list[Run]:
    """Every allocator under every weighting; a run that stands for two comes twice."""
    runs: list[Run] = []
    for seed in plan.seeds:
        for weighting in plan.weightings:
            for allocator in plan.allocators:
                source = plan.source(weighting, allocator)
                run = read_run(run_directory(out, source, allocator, seed))
                runs.append(replace(run, header=replace(run.header, weighting=weighting)))
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
