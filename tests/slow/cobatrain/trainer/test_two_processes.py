"""Training on two gloo processes under torchrun: the same run as on one, and one clear end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
yaml = pytest.importorskip("yaml", reason="pyyaml is not installed")

from command_line import check_one_line
from safetensors.numpy import load_file
from training import SMALL, Peers, command, plain, started, wait_for

from cobasim.errors import InputError
from cobasim.records import read_run
from cobatrain import trainer
from cobatrain.config import load_config
from cobatrain.parallel import checkpoints

UNEVEN = ("loop.steps=6", "loop.total_budget=199", "loop.batch_size=12", "loop.window=2",
          "checkpoint.every=2", "loop.eval_every=3", "task.train_size=36")  # fmt: skip

ADAPTERS = ('model.lora={"rank": 4}', "update.kl_coef=0.05", "update.learning_rate=0.002")


def launched(arguments: list[str], stdout=None) -> subprocess.Popen:
    """The same command on two processes."""
    assert arguments[:2] == [sys.executable, "-m"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*torchrun, "--nproc-per-node", "2", *arguments[1:]], stdout=stdout, stderr=subprocess.PIPE,
        text=True, env={"OMP_NUM_THREADS": "1"} | os.environ, start_new_session=True,
    )  # fmt: skip


def finished(process: subprocess.Popen, code: int = 0) -> str:
    try:
        _, errors = process.communicate(timeout=180)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode == 0) == (code == 0), errors
    return errors


def same_run(one: Path, other: Path) -> None:
    """Budgets, passes, tokens: equal. Floats: up to the order in which gradients are summed."""
    for first, second in zip(plain(one), plain(other), strict=True):
        learnt, again = first.pop("learner"), second.pop("learner")
        for name in ("micro_batches", "padding_share"):  # of one rank
            learnt.pop(name, None), again.pop(name, None)
        assert learnt == pytest.approx(again, rel=1e-3, abs=2e-5)
        assert first == second
    ours, theirs = (load_file(checkpoints(run)[-1] / "model.safetensors") for run in (one, other))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        # Adam moves a number whose gradient is all rounding by the learning rate, either way: which
        # numbers these are depends on the processor. LoRA's B starts at zero, where they are many
        apart = np.linalg.norm(value - theirs[name]) / np.linalg.norm(theirs[name])
        assert apart < (2e-3 if "lora" in name else 1e-4), name


@pytest.fixture(scope="module")
def alone(model, tmp_path_factory):
    """Runs on one process, by their settings."""
    known = {}

    def run(*settings: str) -> Path:
        if settings not in known:
            known[settings] = tmp_path_factory.mktemp("alone") / "run"
            chosen = load_config("tiny", [*SMALL, f"model.path={model}", *UNEVEN, *settings])
            trainer.train(chosen, known[settings])
        return known[settings]

    return run


@pytest.mark.parametrize(
    ("parallel", "further"),
    [
        ("replicate", ()),
        ("shard", ("update.kl_coef=0.05", "weighting=prompt")),
        ("shard", ADAPTERS),
    ],
    ids=["replicate", "shard-kl", "shard-lora"],  # shard alone: the killed runs below
)
def test_two_processes_make_the_run_of_one(config, tmp_path, alone, parallel, further):
    if further == ADAPTERS:
        pytest.importorskip("peft", reason="peft is not installed")
    out = tmp_path / "run"
    finished(launched(started(config(*UNEVEN, f"parallel={parallel}", *further), out)))
    same_run(out, alone(*further))
    last = read_run(out).steps[-1]
    assert last.budget_max > last.budget_min  # unequal groups were dealt
    assert len(list((out / "checkpoints").iterdir())) == 2


def test_two_processes_with_vllm_make_the_run_of_one(config, tmp_path, alone):
    pytest.importorskip("vllm", reason="vllm is not installed")
    vllm = ("engine.name=vllm", "engine.subprocess=true", "engine.threads=1", "loop.steps=3")
    out = tmp_path / "run"
    finished(launched(started(config(*UNEVEN, *vllm), out)))
    same_run(out, alone(*vllm))


@pytest.mark.parametrize("then", ["two", "one"])
def test_a_killed_run_goes_on_with_two_processes_or_one(config, tmp_path, alone, then):
    out = tmp_path / "run"
    process = launched(started(config(*UNEVEN, "parallel=shard"), out))
    try:
        wait_for(out / "steps.jsonl", 4, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        for worker in workers(process.pid):
            os.kill(worker, signal.SIGKILL)
        process.wait(30)
    if then == "two":
        finished(launched(command("resume", str(out))))
    else:
        done = subprocess.run(command("resume", str(out)), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    same_run(out, alone())


def workers(agent: int) -> list[int]:
    """Processes of the trainer that torchrun started, in sessions of their own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if b"cobatrain" in words and parent in (agent, 1):
                    found.append(int(entry.name))
    return found


def test_a_failure_of_one_rank_ends_all_with_its_reason(config, tmp_path):
    out = tmp_path / "run"
    process = launched(started(config(*UNEVEN, "loop.steps=400", "engine.subprocess=true"), out))
    try:
        wait_for(out / "steps.jsonl", 3, process)
        engine = next(
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and is_engine_of(entry, workers(process.pid)[-1])
        )
        os.kill(engine, signal.SIGKILL)
        errors = finished(process, code=1)
    finally:
        process.kill()
    said = [line for line in errors.splitlines() if line.startswith("error:")]
    assert len(said) == 1, errors
    assert "died" in said[0]
    assert "/cobatrain/" not in errors  # no traceback of ours: torchrun's own remains
    assert len(read_run(out).steps) >= 3


def is_engine_of(entry: Path, parent: int) -> bool:
    try:
        own = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        return own == parent and b"cobatrain.engines.process" in (entry / "cmdline").read_bytes()
    except OSError:
        return False


def test_ctrl_c_saves_on_all_ranks(config, tmp_path):
    out = tmp_path / "run"
    process = launched(started(config(*UNEVEN, "loop.steps=400", "checkpoint.every=400"), out))
    try:
        wait_for(out / "steps.jsonl", 4, process)
        process.send_signal(signal.SIGINT)
        finished(process, code=130)
    finally:
        process.kill()
    done = read_run(out).steps[-1].step
    assert 3 <= done < 400
    assert checkpoints(out)[-1].name == f"step-{done:06d}"


def test_evaluation_on_two_processes_is_that_of_one(config, tmp_path):
    """Exact and sharded; sampled ones are compared in every run above."""
    chosen = config("evaluation.exact=true", "evaluation.prompts=31", "parallel=shard")
    file, out = tmp_path / "config.yaml", tmp_path / "scores.json"
    file.write_text(yaml.safe_dump(chosen.model_dump(mode="json")))
    with out.open("w") as written:
        process = launched(command("evaluate", str(file), "--json"), stdout=written)
        assert "Loading weights" not in finished(process)  # no bar where nobody looks
    found = json.loads(out.read_text())  # one rank speaks
    with trainer.open_learner(chosen) as (learner, _):
        expected = learner.evaluate()
    assert found["heldout"] == pytest.approx(expected["heldout"], rel=1e-5)
    ours, theirs = (scores["sets"]["arithmetic"] for scores in (found, expected))
    assert ours["levels"] == pytest.approx(theirs["levels"], rel=1e-5)
    assert ours["pass_at"] == pytest.approx(theirs["pass_at"], rel=1e-5)


def test_what_cannot_run_on_several_processes_is_refused(config, monkeypatch, cobatrain):
    for settings, words in (
        (("engine.name=vllm", "engine.subprocess=false"), "engine.subprocess must be true"),
        (("engine.name=vllm", "engine.tensor_parallel_size=2", "engine.subprocess=true"), "tensor"),
    ):
        opened = trainer.open_learner(config(*settings), parallel=Peers(None))
        with pytest.raises(InputError, match=words), opened:
            pass
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("prepare", "measure", "compare", "benchmark"):
        answer = cobatrain(name, "tiny")
        check_one_line(*answer)
        assert "one process" in answer.err
