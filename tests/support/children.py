"""Processes that tests start: what they can import, whether they have ended, what they started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def environment(**more: str) -> dict[str, str]:
    """The environment of a child that can import what this process can import."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | more


def printed(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints that runs this code."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, timeout=120, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Whether the condition comes true within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie has ended)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int, seconds: float = 0.0) -> bool:
    """Whether the process ends within the time."""
    return wait_until(lambda: not alive(pid), seconds)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def engines_of(pid: int) -> list[int]:
    """The engine processes that a process of the trainer has started."""
    return [
        child for child in children_of(pid)
        if b"cobatrain.engines.process" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]  # fmt: skip
