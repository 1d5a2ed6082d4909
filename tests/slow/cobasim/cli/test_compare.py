"""``cobasim compare``, killed and interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from cobasim.records import find_runs, read_run


def test_after_kill_9_runs_are_readable_up_to_the_last_whole_line(tmp_path):
    out = tmp_path / "killed"
    command = [
        sys.executable, "-m", "cobasim", "compare", "--seeds", "1", "--steps", "100000",
        "--allocators", "coba", "--weighting", "rollout", "--jobs", "1", "--out", str(out),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        steps = out / "rollout" / "coba" / "seed-000" / "steps.jsonl"
        deadline = time.monotonic() + 60
        while not (steps.exists() and steps.stat().st_size > 20_000):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        growing = read_run(steps.parent)  # while the run goes on
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    finally:
        process.kill()
    run = read_run(steps.parent)
    assert len(run.steps) >= len(growing.steps) > 10
    assert [record.step for record in run.steps] == list(range(len(run.steps)))


def test_ctrl_c_keeps_what_was_recorded_and_says_so(tmp_path):
    out = tmp_path / "stopped"
    command = [
        sys.executable, "-m", "cobasim", "compare", "--seeds", "4", "--steps", "100000",
        "--allocators", "uniform,coba", "--jobs", "2", "--out", str(out),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 90
        while not list(out.glob("*/*/*/steps.jsonl")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.1)
        time.sleep(1.0)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    kept = f"finished runs are kept in {out}; the same command resumes there"
    assert f"error: interrupted; {kept}" in errors
    assert "Traceback" not in errors
    assert all(read_run(path).steps for path in find_runs(out))
