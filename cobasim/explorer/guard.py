"""Cleans up after a server that was killed: ends its commands, removes its folder.

Run as a script of its own, ``python -I guard.py FOLDER``, with a pipe from the server as standard
input. The pipe closes when the server ends, however it ends. Needs the standard library only, so
that it costs next to nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PID = "pid"
PROCESSES = Path("/proc")
GRACE = 5.0  # seconds between the request to stop and the kill


def is_ours(pid: int, folder: Path) -> bool:
    """Whether a process is a command that writes below ``folder``: numbers are used again."""
    if PROCESSES.is_dir():
        try:
            command = (PROCESSES / str(pid) / "cmdline").read_bytes()
        except OSError:  # it has ended
            return False
    else:  # macOS
        command = subprocess.run(
            ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False
        ).stdout
    return os.fsencode(folder) in command


def clean_up(folder: Path) -> None:
    """End the commands whose numbers stand in ``folder/*/pid``, then remove the folder."""
    pids = []
    for file in folder.glob(f"*/{PID}"):
        with contextlib.suppress(OSError, ValueError):
            pids.append(int(file.read_text()))
    for number in (signal.SIGINT, signal.SIGKILL):
        pids = [pid for pid in pids if is_ours(pid, folder)]
        for pid in pids:
            with contextlib.suppress(OSError):
                os.killpg(pid, number)
        until = time.monotonic() + GRACE
        while time.monotonic() < until and any(is_ours(pid, folder) for pid in pids):
            time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Wait for the server's end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the server's end is what counts
    sys.stdin.buffer.read()
    clean_up(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
