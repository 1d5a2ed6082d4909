"""Training runs that are killed, interrupted or out of disk, and resumed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from children import engines_of
from training import command, plain, started, wait_for, weights

from cobasim.errors import InputError
from cobasim.records import read_run
from cobatrain import trainer
from cobatrain.config import load_config
from cobatrain.parallel import checkpoints


@pytest.mark.parametrize("allocator", ["coba", "duet", "greso", "signal-parts"])
def test_after_kill_9_a_resumed_run_equals_an_uninterrupted_one(config, tmp_path, allocator):
    settings = ["loop.steps=10", "loop.estimator=posterior", "update.measure_every=2"]
    if allocator == "duet":
        settings.append("loop.token_budget=500")
    chosen = config(*settings, allocator=allocator)
    trainer.train(chosen, tmp_path / "whole")
    killed = tmp_path / "killed"
    process = subprocess.Popen(started(chosen, killed), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(killed / "steps.jsonl", 6, process)  # step 0 and five more: one was saved
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    finally:
        process.kill()
    assert read_run(killed).steps[-1].step < 10
    done = subprocess.run(command("resume", str(killed)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert plain(killed) == plain(tmp_path / "whole")
    assert weights(killed) == weights(tmp_path / "whole")
    texts = [(run / "samples.jsonl").read_text() for run in (killed, tmp_path / "whole")]
    assert texts[0] == texts[1]
    assert len(checkpoints(killed)) == chosen.checkpoint.keep


def test_ctrl_c_finishes_the_step_saves_and_can_be_resumed(config, tmp_path):
    chosen = config("loop.steps=60", "loop.eval_every=60", "checkpoint.every=50")
    out = tmp_path / "run"
    process = subprocess.Popen(started(chosen, out), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(out / "steps.jsonl", 4, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "error: interrupted" in errors
    assert "Traceback" not in errors
    last = read_run(out).steps[-1].step
    assert checkpoints(out)[-1].name == f"step-{last:06d}"


def test_what_cannot_be_resumed_is_refused(config, tmp_path):
    run = tmp_path / "run"
    chosen = config("loop.steps=4")
    trainer.train(chosen, run)
    with pytest.raises(InputError, match=r"never overwritten|not empty|exists"):
        trainer.train(chosen, run)
    with pytest.raises(InputError, match=r"allocator differs from"):
        trainer.train(config("loop.steps=4", allocator="knapsack"), run, resume=True)
    last = checkpoints(run)[-1]
    damaged = tmp_path / "damaged"
    shutil.copytree(run, damaged)
    (checkpoints(damaged)[-1] / "state.pt").write_bytes(b"half")
    with pytest.raises(InputError, match="damaged"):
        trainer.train(chosen, damaged, resume=True)
    (damaged / "checkpoints" / last.name / "meta.json").unlink()  # half-written: not counted
    assert last.name not in [path.name for path in checkpoints(damaged)]


def test_a_record_without_checkpoints_is_not_overwritten(config, tmp_path):
    """Only a run that was stopped before its first checkpoint was due starts over."""
    chosen, run = config("loop.steps=5"), tmp_path / "run"  # a checkpoint every 3 steps
    trainer.train(chosen, run)
    saved = checkpoints(run)[-1]
    assert (saved / "model.safetensors").stat().st_mode == (saved / "meta.json").stat().st_mode
    shutil.rmtree(run / "checkpoints")
    whole = (run / "steps.jsonl").read_bytes()
    for wanted in (chosen, config("loop.steps=9")):
        with pytest.raises(InputError, match="is finished and kept no checkpoint"):
            trainer.train(wanted, run, resume=True)
    lines = whole.splitlines(keepends=True)
    (run / "steps.jsonl").write_bytes(b"".join(lines[:5]))
    with pytest.raises(InputError, match="records of 4 steps and no checkpoint"):
        trainer.train(chosen, run, resume=True)
    assert (run / "steps.jsonl").read_bytes() == b"".join(lines[:5])
    (run / "steps.jsonl").write_bytes(b"".join(lines[:3]))
    said = []
    trainer.train(chosen, run, resume=True, say=said.append)
    assert any("starts over, and its 2 steps are made again" in line for line in said)
    assert len(plain(run)) == 6


def test_what_may_change_changes_from_the_checkpoint_on(config, tmp_path, cobatrain):
    """More steps are those of a run that had them from the start; all else is refused by name."""
    chosen, run = config("loop.steps=4"), tmp_path / "run"
    trainer.train(chosen, run)
    trainer.train(config("loop.steps=8"), tmp_path / "whole")
    header = (run / "header.json").read_bytes()

    answer = cobatrain("resume", run, "--set", "loop.steps=8")
    assert answer.code == 0, answer.err
    assert "changed after step 4: loop.steps 4 -> 8" in answer.err
    assert "*" not in answer.out  # a mark of evaluations with other settings
    assert plain(run) == plain(tmp_path / "whole")
    assert weights(run) == weights(tmp_path / "whole")
    assert load_config(run) == config("loop.steps=8")

    others = ("loop.steps=10", "update.learning_rate=1e-5", "evaluation.samples=2")
    answer = cobatrain("resume", run, *(word for one in others for word in ("--set", one)))
    assert answer.code == 0, answer.err
    assert "* after step 8: evaluation.samples 4 -> 2" in " ".join(answer.out.split())
    assert re.search(r"10 .* \d+\.\d\* ", answer.out)
    assert plain(run)[: len(plain(tmp_path / "whole"))] == plain(tmp_path / "whole")
    rates = {step.step: step.learner.get("learning_rate") for step in read_run(run).steps}
    assert rates.pop(0) is None
    assert rates == {step: 2e-4 if step <= 8 else 1e-5 for step in range(1, 11)}
    changes = json.loads((run / "changes.json").read_text())
    assert [change["after_step"] for change in changes] == [4, 8]
    assert changes[1]["before"] == {
        "evaluation.samples": 4, "loop.steps": 8, "update.learning_rate": 2e-4
    }  # fmt: skip
    assert load_config(run) == config(*others)
    assert (run / "header.json").read_bytes() == header

    for setting, words in (
        ("allocator=knapsack", "allocator differs from"),
        ("update.clip_low=0.1", "update.clip_low differs from"),
        ("loop.steps=10.5", "loop.steps"),
        ("loop.steps=9", "has made 10 steps"),
        ("evaluation.sample=3", "did you mean 'evaluation.samples'"),
    ):
        answer = cobatrain("resume", run, "--set", setting)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("error: ")
        assert answer.err.count("\n") == 1
        assert words in answer.err
    assert json.loads((run / "changes.json").read_text()) == changes
    (run / "changes.json").write_text("[1")
    answer = cobatrain("resume", run)
    assert answer.code == 2
    assert "changes.json is damaged" in answer.err


def test_an_engine_that_dies_is_one_line_and_the_run_goes_on_later(config, tmp_path):
    chosen = config(
        "engine.subprocess=true", "loop.steps=12", "loop.eval_every=12", "checkpoint.every=2"
    )
    out = tmp_path / "run"
    process = subprocess.Popen(started(chosen, out), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(out / "steps.jsonl", 4, process)
        [engine] = engines_of(process.pid)
        os.kill(engine, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert "died" in errors.splitlines()[-1]
    assert len(read_run(out).steps) >= 4  # what was done is kept
    trainer.train(chosen, out, resume=True)
    trainer.train(chosen, tmp_path / "whole")
    assert plain(out) == plain(tmp_path / "whole")
    assert weights(out) == weights(tmp_path / "whole")


def test_a_disk_that_refuses_a_checkpoint_is_one_line(config, tmp_path):
    """A limit on the size of files stands for a full disk: writes fail in the middle."""
    chosen = config("loop.steps=6", "checkpoint.every=2")
    out = tmp_path / "run"
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); "
        "from cobatrain.cli import main; main()"
    )
    arguments = started(chosen, out)[3:]
    done = subprocess.run(
        [sys.executable, "-c", limited, *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "checkpoint of step 2 could not be written" in done.stderr.splitlines()[-1]
    assert not list((out / "checkpoints").iterdir())
    assert read_run(out).steps[-1].step == 2
    trainer.train(chosen, out, resume=True)  # with room again
    assert read_run(out).steps[-1].step == 6
