"""Trackers get every number once."""

from __future__ import annotations

import subprocess

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from training import command, started, wait_for

from cobasim.records import read_run


def test_tensorboard_gets_every_number_once_also_over_a_resume(config, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    chosen = config('track=["tensorboard"]', "loop.steps=6", "checkpoint.every=2")
    out = tmp_path / "run"
    process = subprocess.Popen(started(chosen, out), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(out / "steps.jsonl", 4, process)
    finally:
        process.kill()
        process.wait(30)
    done = subprocess.run(command("resume", str(out)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = EventAccumulator(str(out / "tensorboard")).Reload()
    steps = read_run(out).steps
    losses = found.Scalars("learner/reward")
    assert [event.step for event in losses] == list(range(1, 7))
    assert [event.value for event in losses] == pytest.approx(
        [step.learner["reward"] for step in steps[1:]]
    )
    assert found.Scalars("evaluation/heldout")[-1].value == pytest.approx(
        steps[-1].evaluation["heldout"]
    )


def test_wandb_gets_the_records_offline(config, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    chosen = config('track=["wandb"]', "loop.steps=2")
    out = tmp_path / "run"
    done = subprocess.run(started(chosen, out), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    [file] = out.rglob("*.wandb")
    assert b"learner/reward" in file.read_bytes()
