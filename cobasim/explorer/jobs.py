"""``cobasim`` commands in processes of their own, whose records a page reads while they run."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from cobasim.errors import InputError
from cobasim.explorer import guard
from cobasim.records import STEPS_FILE
from cobasim.runs import ROWS

MOST_AT_A_TIME = 4
"""Running jobs of all sessions together."""


@dataclass
class Job:
    """One command and the folder that it writes to.

    Attributes:
        token: its name in addresses.
        arguments: of ``cobasim``, without ``--out``.
        folder: its own; removed with the job.
        process: the command.
        total: what there is to do, in steps or runs.
        steps_each: steps of each run; 0 where they do not matter.
        stopped: whether somebody stopped it.
        saved: where its results were copied to.
        started: when, on the clock of ``time.monotonic``.
    """

    token: str
    arguments: list[str]
    folder: Path
    process: subprocess.Popen[bytes]
    total: int = 1
    steps_each: int = 0
    stopped: bool = False
    saved: Path | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def running(self) -> bool:
        """Whether the process is still running."""
        return self.process.poll() is None

    @property
    def state(self) -> str:
        """ "running", "stopped" or "finished"."""
        if self.running:
            return "running"
        return "stopped" if self.stopped else "finished"

    def stop(self) -> None:
        """Interrupt the whole process group; kill it if that takes more than five seconds."""
        self.stopped = True
        for number in (signal.SIGINT, signal.SIGKILL):
            if not self.running:
                return
            os.killpg(self.process.pid, number)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                continue

    def before_records(self) -> str | None:
        """What to say while there are no records; None where ``error`` says it."""
        if self.running:
            return "The first records appear in a second or two."
        if self.stopped:
            return "It was stopped before its first record: there is nothing to show."
        return None

    def error(self) -> str | None:
        """The last line of standard error after a failure; None otherwise."""
        if self.running or self.stopped or self.process.returncode == 0:
            return None
        lines = (self.folder / "stderr.txt").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self.process.returncode}"

    @property
    def out(self) -> Path:
        """The folder that the command was told to write to."""
        return self.folder / "out"

    def steps_done(self) -> int:
        """Recorded policy updates of all runs together."""
        files = self.out.rglob(STEPS_FILE)
        return sum(max(file.read_bytes().count(b"\n") - 1, 0) for file in files)

    def rows_done(self) -> int:
        """Finished runs of a sweep."""
        return len(list((self.out / ROWS).glob("*.json")))


class Jobs:
    """All jobs of this server, by token. They end with it, also if it is killed."""

    def __init__(self) -> None:
        self.known: dict[str, Job] = {}
        self.root = Path(tempfile.mkdtemp(prefix="cobasim-explore-"))
        self._guard = subprocess.Popen(
            [sys.executable, "-I", guard.__file__, str(self.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(self.close)

    def start(self, arguments: list[str], *, total: int = 1, steps_each: int = 0) -> Job:
        """Start ``cobasim ARGUMENTS --out FOLDER``; total, steps_each: see ``Job``.

        Raises InputError if MOST_AT_A_TIME are running.
        """
        running = sum(job.running for job in self.known.values())
        if running >= MOST_AT_A_TIME:
            raise InputError(
                f"{running} simulations are already running on this server; stop one, or wait"
            )
        token = secrets.token_hex(6)
        folder = self.root / token
        folder.mkdir()
        with (folder / "stderr.txt").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "cobasim", *arguments, "--out", str(folder / "out")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        (folder / guard.PID).write_text(str(process.pid))
        self.known[token] = Job(token, arguments, folder, process, total, steps_each)
        return self.known[token]

    def forget(self, job: Job) -> None:
        """Stop a job and remove its folder."""
        job.stop()
        self.known.pop(job.token, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """Stop all jobs and remove their folders."""
        for job in [*self.known.values()]:
            self.forget(job)
        shutil.rmtree(self.root, ignore_errors=True)
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()


def save(job: Job, name: str, runs: Path) -> Path:
    """Copy what a job wrote to ``runs/name``, completely or not at all.

    Raises InputError if the name is taken, or is not a plain folder name.
    """
    name = name.strip()
    if not name or name in (".", "..") or set(name) & set("/\\\0") or len(name) > 100:
        raise InputError(f"give a plain folder name, without slashes; got {name!r}")
    target = runs / name
    if target.exists():
        raise InputError(f"{name} already exists in {runs}; choose another name")
    runs.mkdir(parents=True, exist_ok=True)
    aside = runs / f".{name}.{job.token}"
    try:
        shutil.copytree(job.out, aside)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    job.saved = target
    return target
