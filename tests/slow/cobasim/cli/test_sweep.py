"""``cobasim sweep`` with Ray, and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from small_sweeps import small_sweep, swept, untimed

from cobasim import runs as sweeps


def test_ray_gives_the_same_table(tmp_path):
    pytest.importorskip("ray", reason="ray is not installed")
    ours = swept(small_sweep(), tmp_path / "loky", jobs=1)
    out = tmp_path / "ray"
    arguments = ["--backend", "ray", "--jobs", "2", "--out", str(out)]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert untimed(pq.read_table(out / sweeps.TABLE)).equals(untimed(ours))


COMMAND = [
    sys.executable, "-m", "cobasim", "sweep", "--param", "kappa=7,11", "--param", "noise=0,10",
    "--allocators", "uniform,coba", "--seeds", "2", "--steps", "6", "--batch-size", "32",
    "--total-budget", "256", "--set", "num_prompts=300", "--set", "num_heldout=50",
]  # fmt: skip


def test_after_kill_9_the_same_command_ends_with_the_same_table(tmp_path):
    out, longer = tmp_path / "killed", ["--steps", "150", "--jobs", "2"]
    process = subprocess.Popen(
        [*COMMAND, *longer, "--out", str(out)], start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(list((out / sweeps.ROWS).glob("*.json"))) < 5:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = sweeps.finished(out)
    assert 5 <= len(kept) < 32
    before = {number: (out / sweeps.ROWS / f"{number:07d}.json").stat().st_mtime for number in kept}
    for folder in (out, tmp_path / "whole"):
        done = subprocess.run(
            [*COMMAND, *longer, "--out", str(folder)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    for number, stamp in before.items():  # nothing was done twice
        assert (out / sweeps.ROWS / f"{number:07d}.json").stat().st_mtime == stamp
    one, other = (
        untimed(pq.read_table(folder / sweeps.TABLE)) for folder in (out, tmp_path / "whole")
    )
    assert one.equals(other)
    assert (out / sweeps.SUMMARY).read_bytes() == (tmp_path / "whole" / sweeps.SUMMARY).read_bytes()
