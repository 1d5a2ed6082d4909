"""The runs of a comparison, each in a separate process.

A finished run is not run again; one that was stopped resumes from its checkpoint.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from cobasim.errors import InputError
from cobasim.files import writing
from cobasim.records import HEADER_FILE, read_run
from cobatrain.comparison.plan import CONFIG, Plan, PlannedRun, run_directory


class RunFailed(RuntimeError):
    """A run of a comparison ended with an error; the others are kept."""


def run_all(
    plan: Plan,
    out: Path,
    *,
    jobs: int = 1,
    on_finished: Callable[[], None] = lambda: None,
) -> None:
    """Run what is not finished yet, ``jobs`` processes at a time, one thread each.

    Raises RunFailed with the last line of each run that failed, once the others are done, and
    InputError if another process is writing to the folder. On Ctrl-C no further run starts, and
    those under way save and stop.
    """
    with writing(out):
        failed = _run_waiting(plan, out, jobs, on_finished)
    if failed:
        raise RunFailed("; ".join(failed))


def _run_waiting(plan: Plan, out: Path, jobs: int, on_finished: Callable[[], None]) -> list[str]:
    """Messages of the runs that failed."""
    pool = ThreadPoolExecutor(jobs)
    processes = _Processes(plan, out)
    failed = []
    try:
        waiting = [pool.submit(processes.run, run) for run in plan.runs()]
        for future in as_completed(waiting):
            try:
                future.result()
            except RunFailed as error:
                failed.append(str(error))
            on_finished()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        processes.stop()
        raise
    finally:
        pool.shutdown(wait=True)
    return failed


class _Processes:
    """The processes under way; ``run`` and ``stop`` may be called from several threads."""

    def __init__(self, plan: Plan, out: Path) -> None:
        self._plan, self._out = plan, out
        self._running: set[subprocess.Popen[str]] = set()
        self._stop = threading.Event()

    def run(self, run: PlannedRun) -> None:
        """Start or resume a run and wait for its end. Raises RunFailed."""
        folder = run_directory(self._out, *run)
        command = self._command(run, folder)
        if command is None:
            return
        # in its own session: a Ctrl-C reaches it once, through ``stop``
        process = subprocess.Popen(
            [sys.executable, "-m", "cobatrain", *command],
            env={"OMP_NUM_THREADS": "1"} | os.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._running.add(process)
        if self._stop.is_set():
            process.terminate()
        _, errors = process.communicate()
        self._running.discard(process)
        if process.returncode != 0:
            lines = errors.strip().splitlines() or ["no message"]
            raise RunFailed(f"{folder} ended with code {process.returncode}: {lines[-1]}")

    def stop(self) -> None:
        """Ask every process to save and stop, also those that are just starting."""
        self._stop.set()
        for process in tuple(self._running):
            process.send_signal(signal.SIGTERM)  # saves, as Ctrl-C does

    def _command(self, run: PlannedRun, folder: Path) -> list[str] | None:
        """Arguments of ``cobatrain``; None if the run is finished."""
        if not (folder / HEADER_FILE).exists():
            command = ["train", str(self._out / CONFIG), "--allocator", run.allocator]
            command += ["--weighting", run.weighting, "--seed", str(run.seed)]
            return [*command, "--out", str(folder)]
        try:
            steps = read_run(folder).steps
        except InputError as error:
            raise RunFailed(str(error)) from error
        loop, last = self._plan.config.loop, steps[-1] if steps else None
        if last is not None and loop.finished(last.step, last.rollouts, last.tokens):
            return None
        return ["resume", str(folder)]
