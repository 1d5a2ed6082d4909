"""Real training runs of a very small model: learning, records, resume, stops, refusals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from training import command, plain, started, wait_for, weights  # noqa: E402

from cobasim.errors import InputError  # noqa: E402
from cobasim.loop import Loop  # noqa: E402
from cobasim.records import read_run  # noqa: E402
from cobatrain import cli, trainer  # noqa: E402
from cobatrain.comparison import (  # noqa: E402
    Plan,
    RunFailed,
    claim,
    read_runs,
    run_all,
    run_directory,
    score,
)
from cobatrain.config import load_config  # noqa: E402
from cobatrain.engines import EngineError, make_engine  # noqa: E402
from cobatrain.learner import LanguageModelLearner, SyncError, load_policy  # noqa: E402
from cobatrain.parallel import checkpoints  # noqa: E402
from cobatrain.tasks import make_task  # noqa: E402
from cobatrain.update import NonFiniteError  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_training_really_improves_on_held_out_operands(config, tmp_path, engine):
    if engine == "vllm":
        pytest.importorskip("vllm", reason="vllm is not installed")
    one = config(
        f"engine.name={engine}", "loop.steps=30", "loop.batch_size=32", "loop.total_budget=256",
        "loop.eval_every=30", allocator="uniform",
    )  # fmt: skip
    trainer.train(one, tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert run.header.source == "train"
    assert [step.rollouts for step in run.steps] == [256 * t for t in range(31)]
    first, last = (run.steps[i].evaluation for i in (0, -1))
    assert last["heldout"] > first["heldout"] + 0.02
    levels = last["sets"].get("arithmetic", None)
    assert levels is None or set(levels["levels"]) <= {"2+1", "2-1"}
    for step in run.steps[1:]:
        assert sum(step.bins["rollouts"]) == 256
        assert step.budget_min >= 2
        for name in (
            "loss",
            "grad_norm",
            "entropy",
            "response_length",
            "seconds_generate",
            "seconds_reward",
            "seconds_train",
            "seconds_sync",
            "reward",
        ):
            assert np.isfinite(step.learner[name]), name
        assert step.learner["log_prob_gap_max"] < 1e-3  # the engine has the model's weights
    samples = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").open()]
    assert {sample["step"] for sample in samples} == set(range(1, 31))
    assert {"prompt", "answer", "response", "reward"} <= set(samples[0])


def test_no_held_out_question_is_ever_trained_on(config, tmp_path):
    one = config()
    task = make_task(one.task, one.task_seed)
    heldout = {p.text for prompts in task.heldout.values() for p in prompts}
    assert heldout
    assert not heldout & {p.text for p in task.train}
    assert not heldout & {
        text for text, _ in task.supervised_examples(5000, np.random.default_rng(0))
    }


def test_the_same_seed_gives_the_same_run_and_uniform_no_weighting(config, tmp_path):
    for name, chosen in {
        "a": {"weighting": "rollout"}, "b": {"weighting": "rollout"}, "c": {"weighting": "prompt"},
        "d": {"weighting": "rollout", "seed": 1},
    }.items():  # fmt: skip
        trainer.train(config(allocator="uniform", **chosen), tmp_path / name)
    assert plain(tmp_path / "a") == plain(tmp_path / "b")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    same, other = ([step["bins"] for step in plain(tmp_path / name)] for name in ("a", "c"))
    assert same == other
    assert weights(tmp_path / "a") != weights(tmp_path / "d")


@pytest.mark.parametrize("allocator", ["coba", "knapsack", "greso"])
def test_after_kill_9_a_resumed_run_equals_an_uninterrupted_one(config, tmp_path, allocator):
    one = config("loop.steps=10", "loop.estimator=posterior", allocator=allocator)
    trainer.train(one, tmp_path / "whole")
    killed = tmp_path / "killed"
    process = subprocess.Popen(started(one, killed), stderr=subprocess.PIPE, text=True)
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
    assert len(checkpoints(killed)) == one.checkpoint.keep


def test_ctrl_c_finishes_the_step_saves_and_can_be_resumed(config, tmp_path):
    one = config("loop.steps=60", "loop.eval_every=60", "checkpoint.every=50")
    out = tmp_path / "run"
    process = subprocess.Popen(started(one, out), stderr=subprocess.PIPE, text=True)
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


def test_a_stale_engine_is_noticed(config, tmp_path, monkeypatch):
    from cobatrain.engines.hf_engine import HfEngine

    real, count = HfEngine.sync, [0]

    def sync_once(self, model):
        count[0] += 1
        return real(self, model) if count[0] == 1 else 0.0

    monkeypatch.setattr(HfEngine, "sync", sync_once)
    one = config("update.learning_rate=0.02", "log_prob_bound=0.01")
    with pytest.raises(SyncError, match="log_prob_bound"):
        trainer.train(one, tmp_path / "run")
    assert len(read_run(tmp_path / "run").steps) >= 2  # what was done is kept


def test_nan_stops_with_the_batch_saved(config, tmp_path, monkeypatch):
    real = LanguageModelLearner.rollout

    def poisoned(self, prompts, budgets):
        passes = real(self, prompts, budgets)
        if self.step == 2:
            with torch.no_grad():
                next(self.model.parameters()).mul_(float("nan"))
        return passes

    monkeypatch.setattr(LanguageModelLearner, "rollout", poisoned)
    with pytest.raises(NonFiniteError):
        trainer.train(config(), tmp_path / "run")
    saved = json.loads((tmp_path / "run" / "bad_batch.json").read_text())
    assert len(saved["rewards"]) == len(saved["responses"]) == 192
    assert read_run(tmp_path / "run").steps[-1].step == 2


def test_an_allocator_in_rounds_trains_on_the_union_of_its_rounds(config, tmp_path):
    trainer.train(config("loop.steps=2", allocator="gvm"), tmp_path / "run")
    for number, step in enumerate(read_run(tmp_path / "run").steps[1:], start=1):
        assert step.rollouts == 192 * number
        assert step.learner["rollouts"] == step.trained_rollouts == 192


@pytest.mark.parametrize(("name", "what"), [("dapo", "trains on a part"), ("vip-gp", "features")])
def test_an_allocator_that_the_learner_cannot_serve_is_refused(config, name, what):
    with pytest.raises(InputError, match=what):
        config(allocator=name)


def test_what_cannot_be_resumed_is_refused(config, tmp_path):
    run = tmp_path / "run"
    one = config("loop.steps=4")
    trainer.train(one, run)
    with pytest.raises(InputError, match=r"never overwritten|not empty|exists"):
        trainer.train(one, run)
    with pytest.raises(InputError, match=r"allocator.* differ"):
        trainer.train(config("loop.steps=4", allocator="knapsack"), run, resume=True)
    last = checkpoints(run)[-1]
    damaged = tmp_path / "damaged"
    shutil.copytree(run, damaged)
    (checkpoints(damaged)[-1] / "state.pt").write_bytes(b"half")
    with pytest.raises(InputError, match="damaged"):
        trainer.train(one, damaged, resume=True)
    (damaged / "checkpoints" / last.name / "meta.json").unlink()  # half-written: not counted
    assert last.name not in [path.name for path in checkpoints(damaged)]


def test_bad_models_and_prompts_are_refused(config, tmp_path, model):
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (broken / name).unlink()
    with pytest.raises(InputError, match="tokenizer"):
        trainer.train(config(f"model.path={broken}"), tmp_path / "a")
    with pytest.raises(InputError, match="not a folder"):
        trainer.train(
            config(f"model.path={tmp_path / 'nowhere'}", "model.tiny=null"), tmp_path / "b"
        )
    with pytest.raises(InputError, match="max_model_len"):
        trainer.train(config("engine.max_model_len=4", "sampling.max_tokens=2"), tmp_path / "c")
    with pytest.raises(InputError, match="only 1200 prompts"):
        trainer.train(config("loop.batch_size=1300", "loop.total_budget=5200"), tmp_path / "d")
    with pytest.raises(EngineError, match=r"did not (start|answer to 'start')"):
        trainer.train(
            config("engine.subprocess=true", "engine.start_timeout=0.001"), tmp_path / "e"
        )
    assert not list(tmp_path.glob("?"))  # nothing was begun


def test_command_line_says_what_is_wrong_in_one_line(config, tmp_path, monkeypatch, capsys):
    cases = [
        (["train", "nothing.yaml"], "no such config"),
        (["train", "tiny", "--set", "lop.steps=3"], "lop"),
        (["train", "tiny", "--allocator", "cobra"], "did you mean 'coba'"),
        (["resume", str(tmp_path / "none")], "none"),
        (["evaluate", "tiny", "--set", "model.path=nowhere"], "cobatrain prepare"),
        (["compare", "tiny", "--seeds", "0"], "seeds"),
    ]
    for arguments, expected in cases:
        monkeypatch.setattr(sys, "argv", ["cobatrain", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        errors = capsys.readouterr().err
        assert stop.value.code == 2, arguments
        assert errors.startswith("error: ")
        assert errors.count("\n") == 1
        assert expected in errors


def test_the_learner_equals_the_loops_contract(config):
    """Budgets decide how many rollouts; passes are counted per prompt; seeds per prompt."""
    one = config()
    policy, tokenizer = load_policy(one)
    task = make_task(one.task, one.task_seed)
    with make_engine(one.engine, one.model.path) as engine:
        learner = LanguageModelLearner(policy, tokenizer, engine, task, one)
        prompts, budgets = np.array([5, 0, 9]), np.array([6, 2, 11])
        passes = learner.rollout(prompts, budgets)
        assert ((passes >= 0) & (passes <= budgets)).all()
        groups = np.bincount(learner.pending.batch.group, minlength=10)
        assert groups[[5, 0, 9]].tolist() == [6, 2, 11]
        alone = learner.rollout(np.array([9]), np.array([11]))
        assert alone[0] == passes[2]  # does not depend on the rest of the batch
        rows = learner.pending.batch.responses
        parts = learner.rollout(np.array([9]), np.array([4]))
        parts = parts + learner.rollout_more(np.array([9]), np.array([7]))
        assert parts[0] == passes[2]  # a group made in rounds is the group of one round
        assert [list(row) for row in learner.pending.batch.responses] == [list(row) for row in rows]
        assert isinstance(Loop(learner, one.loop, seed=0), Loop)


def test_comparison_runs_uniform_once_and_goes_on_where_it_was(config, tmp_path):
    plan = Plan(config("loop.steps=3", "loop.eval_every=3"), ("uniform", "coba"),
                ("rollout", "prompt"), (0, 1))  # fmt: skip
    assert len(list(plan.runs())) == 6
    out = tmp_path / "compare"
    claim(plan, out)
    run_all(plan, out, jobs=2)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("steps.jsonl")}
    assert len(before) == 6
    claim(plan, out)  # the same plan may go on
    run_all(plan, out, jobs=2)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("steps.jsonl")}
    rows, verdicts = score(plan, out, command="test")
    assert {(row.weighting, row.allocator) for row in rows} == {
        (weighting, name) for weighting in ("rollout", "prompt") for name in ("uniform", "coba")
    }
    assert len(read_runs(plan, out)) == 8
    assert set(verdicts) == {"rollout", "prompt"}
    assert (out / "report.html").exists()
    other = Plan(plan.config, ("uniform", "knapsack"), plan.weightings, plan.seeds)
    with pytest.raises(InputError, match="another comparison"):
        claim(other, out)


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN], ids=lambda how: how.name)
def test_ctrl_c_in_a_comparison_begins_no_further_run(config, tmp_path, model, before):
    """Also if the process was started with SIGINT ignored, as a script's background jobs are."""
    import yaml

    path = tmp_path / "plan.yaml"
    one = config("loop.steps=400", "loop.eval_every=400")
    path.write_text(yaml.safe_dump(one.model_dump(mode="json")))
    out = tmp_path / "out"
    process = subprocess.Popen(
        command("compare", str(path), "--seeds", "4", "--jobs", "1", "--out", str(out)),
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, before),
    )  # fmt: skip
    first = out / "rollout" / "uniform" / "seed-000"
    try:
        wait_for(first / "steps.jsonl", 4, process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert [found.parent for found in out.rglob("steps.jsonl")] == [first]
    done = read_run(first).steps[-1].step
    assert done < 400
    assert checkpoints(first)[-1].name == f"step-{done:06d}"


def test_a_failed_run_of_a_comparison_is_named_and_the_others_are_kept(config, tmp_path, model):
    plan = Plan(config("loop.steps=2"), ("uniform", "coba"), ("rollout",), (0,))
    out = tmp_path / "compare"
    claim(plan, out)
    broken = run_directory(out, "rollout", "coba", 0)
    broken.mkdir(parents=True)
    (broken / "header.json").write_text("{")
    with pytest.raises(RunFailed, match="coba") as stop:
        run_all(plan, out)
    assert str(stop.value).count("\n") == 0
    assert read_run(run_directory(out, "rollout", "uniform", 0)).steps[-1].step == 2


def test_two_processes_never_write_one_run(config, tmp_path):
    one = config("loop.steps=400", "loop.eval_every=400", "checkpoint.every=2")
    out = tmp_path / "run"
    process = subprocess.Popen(started(one, out), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(out / "steps.jsonl", 4, process)
        with pytest.raises(InputError, match="another process"):
            trainer.train(load_config(out), out, resume=True)
    finally:
        process.kill()
        process.wait(30)


def test_an_engine_that_dies_is_one_line_and_the_run_goes_on_later(config, tmp_path):
    one = config(
        "engine.subprocess=true", "loop.steps=12", "loop.eval_every=12", "checkpoint.every=2"
    )
    out = tmp_path / "run"
    process = subprocess.Popen(started(one, out), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(out / "steps.jsonl", 4, process)
        os.kill(engine_of(process.pid), signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert "died" in errors.splitlines()[-1]
    assert len(read_run(out).steps) >= 4  # what was done is kept
    trainer.train(one, out, resume=True)
    trainer.train(one, tmp_path / "whole")
    assert plain(out) == plain(tmp_path / "whole")
    assert weights(out) == weights(tmp_path / "whole")


def test_a_disk_that_refuses_a_checkpoint_is_one_line(config, tmp_path):
    """A limit on the size of files stands for a full disk: writes fail in the middle."""
    one = config("loop.steps=6", "checkpoint.every=2")
    out = tmp_path / "run"
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); "
        "from cobatrain.cli import main; main()"
    )
    arguments = started(one, out)[3:]
    done = subprocess.run(
        [sys.executable, "-c", limited, *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "checkpoint of step 2 could not be written" in done.stderr.splitlines()[-1]
    assert not list((out / "checkpoints").iterdir())
    assert read_run(out).steps[-1].step == 2
    trainer.train(one, out, resume=True)  # with room again
    assert read_run(out).steps[-1].step == 6


def test_kl_holds_the_policy_near_the_reference(config, tmp_path):
    far = {}
    for strength in (1e-6, 1.0):
        run = tmp_path / str(strength)
        trainer.train(config(f"update.kl_coef={strength}", "update.learning_rate=0.001"), run)
        far[strength] = [step.learner["kl"] for step in read_run(run).steps[1:]]
        assert far[strength][0] == pytest.approx(0, abs=1e-6)  # the reference is the start
    assert 0 < np.mean(far[1.0][2:]) < np.mean(far[1e-6][2:])


def test_engine_processes_do_not_outlive_the_trainer(config, tmp_path):
    one = config("engine.subprocess=true", "loop.steps=200")
    out = tmp_path / "run"
    process = subprocess.Popen(started(one, out), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(out / "steps.jsonl", 2, process)
        children = children_of(process.pid)
        assert children
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        deadline = time.monotonic() + 20
        while any(_alive(pid) for pid in children) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not any(_alive(pid) for pid in children)
    finally:
        process.kill()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def engine_of(pid: int) -> int:
    [engine] = [
        child for child in children_of(pid)
        if b"cobatrain.engines.process" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]  # fmt: skip
    return engine


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"


def test_measured_pass_rates_stand_beside_the_estimates(config, tmp_path, monkeypatch, capsys):
    from cobasim.data import read_pass_rates
    from cobatrain import measurement as measuring

    run = tmp_path / "run"
    trainer.train(config("loop.steps=4", "loop.estimator=window"), run)
    stored = load_config(run)
    assert stored == config("loop.steps=4", "loop.estimator=window")

    def measured(chunk, checkpoint):
        monkeypatch.setattr(measuring, "CHUNK", chunk)
        with trainer.open_learner(stored, checkpoint=checkpoint) as (learner, state):
            return measuring.measure(learner, state, rollouts=4)

    newest = checkpoints(run)[-1]
    one, other = measured(8192, newest), measured(1000, newest)
    assert np.array_equal(one.passes, other.passes)  # however it is cut
    classes = one.against_estimates()
    assert sum(row["prompts"] for row in classes) == stored.task["train_size"]
    assert classes[0]["estimate"] == "unseen"
    assert classes[0]["prompts"] == stored.task["train_size"] - 4 * 24
    seen = one.attempts > 0
    assert np.corrcoef(one.estimate[seen], one.pass_rate[seen])[0, 1] > 0.3  # by chance: 0.1
    assert measured(8192, None).against_estimates() == []

    out = tmp_path / "rates.csv"
    arguments = ["cobatrain", "measure", str(run), "--rollouts", "4", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert "unseen" in capsys.readouterr().out
    assert read_pass_rates(str(out)) == pytest.approx(one.pass_rate)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "exists" in capsys.readouterr().err


def test_a_run_folder_stands_for_its_config_and_checkpoint(config, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    trainer.train(config(), run)
    monkeypatch.setattr(sys, "argv", ["cobatrain", "evaluate", str(run), "--json"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    printed = capsys.readouterr().out
    alone = json.loads(printed[printed.index("{") :])
    last = read_run(run).steps[-1].evaluation
    assert alone["heldout"] > 0
    assert abs(alone["heldout"] - last["heldout"]) < 0.1  # the same policy, other samples


def test_tensorboard_gets_every_number_once_also_over_a_resume(config, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    one = config('track=["tensorboard"]', "loop.steps=6", "checkpoint.every=2")
    out = tmp_path / "run"
    process = subprocess.Popen(started(one, out), stderr=subprocess.PIPE, text=True)
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
    one = config('track=["wandb"]', "loop.steps=2")
    out = tmp_path / "run"
    done = subprocess.run(started(one, out), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    [file] = out.rglob("*.wandb")
    assert b"learner/reward" in file.read_bytes()
