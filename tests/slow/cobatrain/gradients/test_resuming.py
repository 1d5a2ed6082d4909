"""A measurement that was stopped writes the file of one that was not, as one on two processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from command_line import check_one_line

from cobasim.errors import InputError
from cobasim.gradients import read_measured_gradients, write_measured
from cobatrain.gradients import GradientOptions, Ledger, decide, identity, measure_gradients
from cobatrain.gradients import ledger as ledgers

METHODS = ("exact", "rollouts")
EXACTLY = ("metric", "groups", "directions", "features")
SAMPLED = ("rollouts", "rollouts of groups", "metric", "groups", "features")
STOPS = [("exact", phase) for phase in EXACTLY] + [("rollouts", phase) for phase in SAMPLED]


def options(method: str, **changes) -> GradientOptions:
    known = {"prompts": 40, "groups": 12, "rollouts": 8, "dim": 1024, "rank": 16, "rest": 64}
    return GradientOptions(method=method, plain_rank=8, **(known | changes))


def content(measured, file: Path) -> bytes:
    """The bytes of the file, but for how long it took."""
    write_measured(replace(measured, info=measured.info | {"seconds": 0.0}), file)
    return file.read_bytes()


@pytest.fixture(scope="module")
def unbroken(learner, tmp_path_factory):
    file = tmp_path_factory.mktemp("unbroken") / "a.npz"
    return {
        method: content(measure_gradients(learner, decide(learner, options(method))).measured, file)
        for method in METHODS
    }


def measured_until(learner, chosen: GradientOptions, folder: Path, stop, say=lambda line: None):
    """The file's contents; or what is kept, after as many items of a phase as ``stop`` says."""

    def done(phase: str, number: int, total: int) -> None:
        if stop is not None and phase == stop[0] and number >= stop[1] * total:
            raise KeyboardInterrupt

    decision = decide(learner, chosen)
    with Ledger(folder=folder, identity=identity(learner, decision, 0), say=say) as ledger:
        return measure_gradients(learner, decision, done, ledger=ledger).measured


@pytest.mark.parametrize(("method", "phase"), STOPS)
def test_a_stopped_measurement_ends_as_an_unbroken_one(
    learner, tmp_path, monkeypatch, unbroken, method, phase
):
    """Stopped twice; in the first sitting each item is a block, in the others each phase is."""
    monkeypatch.setattr(ledgers, "SHARE", 0.0)
    folder, lines = tmp_path / "parts", []
    for share, every in ((0.3, 0.0), (0.8, 1e9)):
        monkeypatch.setattr(ledgers, "EVERY", every)
        with pytest.raises(KeyboardInterrupt):
            measured_until(learner, options(method), folder, (phase, share))
        for parameter in learner.model.parameters():
            assert parameter.requires_grad
    measured = measured_until(learner, options(method), folder, None, lines.append)
    assert lines == [f"goes on from {folder}"]
    assert content(measured, tmp_path / "b.npz") == unbroken[method]


def test_a_file_cut_short_is_not_trusted(learner, tmp_path, unbroken):
    folder, lines = tmp_path / "parts", []
    with pytest.raises(KeyboardInterrupt):
        measured_until(learner, options("exact"), folder, ("features", 0.5))
    for file in sorted(folder.glob("*-groups-*.npz")):
        file.write_bytes(file.read_bytes()[:-100])
    measured = measured_until(learner, options("exact"), folder, None, lines.append)
    assert "is damaged: measured again" in lines[1]
    assert content(measured, tmp_path / "b.npz") == unbroken["exact"]


def test_parts_of_another_policy_or_with_other_options_are_refused(learner, tmp_path):
    folder = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        measured_until(learner, options("exact"), folder, ("metric", 0.5))
    for changes in ({"seed": 1}, {"prompts": 41}, {"dim": 2048}, {"parameters": "layers"}):
        with pytest.raises(InputError, match=rf"\(options.{next(iter(changes))} differ\)"):
            measured_until(learner, options("exact", **changes), folder, None)
    with torch.no_grad():
        parameter = next(iter(learner.model.parameters()))
        old = parameter[0, 0].clone()
        parameter[0, 0] += 1e-3
    try:
        with pytest.raises(InputError, match=r"\(weights differ\)"):
            measured_until(learner, options("exact"), folder, None)
    finally:
        with torch.no_grad():
            parameter[0, 0] = old


OFTEN = (
    "from cobatrain.gradients import ledger; ledger.EVERY = ledger.SHARE = 0.0; "
    "from cobatrain.cli import main; main()"
)


def arguments(learner, out: Path, method: str) -> list[str]:
    return [
        "gradients", "tiny", "--out", str(out), "--prompts", "40", "--groups", "12",
        "--rollouts", "8", "--dim", "1024", "--rank", "16", "--rest", "64", "--method", method,
        "--set", f"model.path={learner.config.model.path}",
        "--set", "task.levels=[\"2+1\", \"2-1\"]", "--set", "task.train_size=1200",
        "--set", "task.heldout_size=200", "--set", "engine.name=transformers",
        "--set", "evaluation.prompts=20",
    ]  # fmt: skip


def without_time(file: Path):
    measured = read_measured_gradients(file)
    return content(measured, file.with_name("without-time.npz"))


def test_the_same_command_goes_on(learner, tmp_path, cobatrain):
    """After a kill, then after a Ctrl-C."""
    method = "exact"
    out = tmp_path / "g.npz"
    folder = tmp_path / "g.npz.partial"
    for blow, parts in ((signal.SIGKILL, 6), (signal.SIGINT, 20)):
        process = subprocess.Popen(
            [sys.executable, "-c", OFTEN, *arguments(learner, out, method)],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 180
        while len(list(folder.glob("*.npz"))) < parts:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(blow)
        _, said = process.communicate(timeout=120)
        assert not out.exists()
    assert f"goes on from {folder}" in said
    assert said.splitlines()[-1] == (
        f"error: interrupted; what was measured is in {folder}; the same command goes on from there"
    )
    assert process.returncode == 130
    changed = cobatrain(*arguments(learner, out, method), "--seed", 3)
    assert changed.code == 2
    assert "other settings (options.seed differ)" in changed.err
    answer = cobatrain(*arguments(learner, out, method))
    assert answer.code == 0, answer.err
    assert not folder.exists()
    whole = tmp_path / "h.npz"
    assert cobatrain(*arguments(learner, whole, method)).code == 0
    assert without_time(out) == without_time(whole)


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_measure_what_one_does(learner, tmp_path, cobatrain, method):
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    assert cobatrain(*arguments(learner, one, method)).code == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", "-m", "cobatrain", *arguments(learner, two, method)],
        capture_output=True, text=True, timeout=300, env={"OMP_NUM_THREADS": "1"} | os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("own / within is") == 1
    assert not two.with_name("two.npz.partial").exists()
    first, second = (read_measured_gradients(path) for path in (one, two))
    for name in ("heldout", "level", "prompt", "position", "token"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_allclose(first.rate, second.rate, rtol=1e-4)
    np.testing.assert_allclose(first.odds, second.odds, rtol=1e-3, atol=1e-4)
    for name in ("noise_total", "plain_within", "root_sum"):
        assert getattr(first, name) == pytest.approx(getattr(second, name), rel=1e-3)
    inner = [part.features @ part.features.T for part in (first, second)]
    np.testing.assert_allclose(*inner, rtol=0.01, atol=0.01 * np.abs(inner[0]).max())
    parts = [part.info["parts"]["all"] for part in (first, second)]
    for name in ("within", "own", "shared"):
        one, two = (np.array(part[name]) for part in parts)  # value and interval
        np.testing.assert_allclose(one, two, rtol=0.01, atol=0.01 * np.abs(one).max())


def test_a_sharded_model_is_refused(monkeypatch, cobatrain, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    answer = cobatrain("gradients", "tiny", "--out", tmp_path / "g.npz", "--set", "parallel=shard")
    check_one_line(*answer)
    assert "parallel=replicate" in answer.err
