"""Real training runs of a very small model: they learn, and a seed fixes them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from training import plain, weights

from cobasim.errors import InputError
from cobasim.records import read_run
from cobatrain import trainer
from cobatrain.measurement import measure, write
from cobatrain.parallel import checkpoints
from cobatrain.tasks import make_task


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_training_really_improves_on_held_out_operands(config, tmp_path, engine):
    if engine == "vllm":
        pytest.importorskip("vllm", reason="vllm is not installed")
    chosen = config(
        f"engine.name={engine}", "loop.steps=30", "loop.batch_size=32", "loop.total_budget=256",
        "loop.eval_every=30", allocator="uniform",
    )  # fmt: skip
    trainer.train(chosen, tmp_path / "run")
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
    chosen = config()
    task = make_task(chosen.task, chosen.task_seed)
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


def test_an_allocator_in_rounds_trains_on_the_union_of_its_rounds(config, tmp_path):
    trainer.train(config("loop.steps=2", allocator="gvm"), tmp_path / "run")
    for number, step in enumerate(read_run(tmp_path / "run").steps[1:], start=1):
        assert step.rollouts == 192 * number
        assert step.learner["rollouts"] == step.trained_rollouts == 192


def test_kl_holds_the_policy_near_the_reference(config, tmp_path):
    far = {}
    for strength in (1e-6, 1.0):
        run = tmp_path / str(strength)
        trainer.train(config(f"update.kl_coef={strength}", "update.learning_rate=0.001"), run)
        far[strength] = [step.learner["kl"] for step in read_run(run).steps[1:]]
        assert far[strength][0] == pytest.approx(0, abs=1e-6)  # the reference is the start
    assert 0 < np.mean(far[1.0][2:]) < np.mean(far[1e-6][2:])


def test_what_was_measured_before_a_run_is_where_its_beliefs_start(config, tmp_path):
    """``cobatrain measure`` of a model, then a run that starts from the counts."""
    from cobatrain.trainer import open_learner

    chosen = config("loop.steps=4", "checkpoint.every=2", allocator="signal")
    with open_learner(chosen) as (learner, _):
        write(measure(learner, None, rollouts=8), tmp_path / "rates.csv")
    known = config(
        "loop.steps=4", "checkpoint.every=2", f"pass_rates.path={tmp_path}/rates.csv",
        "loop.first_beliefs=measured", allocator="signal",
    )  # fmt: skip
    said = []
    trainer.train(known, tmp_path / "known", say=said.append)
    trainer.train(chosen, tmp_path / "unseen")
    assert any("beliefs of 1,200 of 1,200 prompts start from it" in line for line in said)
    first, unseen = (read_run(tmp_path / name).steps[1] for name in ("known", "unseen"))
    assert unseen.budget_min == unseen.budget_max == 8  # nothing is known: even
    assert first.budget_max > first.budget_min
    (tmp_path / "rates.csv").unlink()  # a checkpoint knows more than the file: it is not read again
    shutil.rmtree(checkpoints(tmp_path / "known")[-1])
    trainer.train(known, tmp_path / "known", resume=True)
    assert read_run(tmp_path / "known").steps[-1].step == 4


def test_a_finished_run_keeps_no_checkpoint_if_told_so(config, tmp_path):
    settings = ("loop.steps=4", "checkpoint.every=1", "checkpoint.keep=0")
    chosen, out = config(*settings, allocator="uniform"), tmp_path / "run"
    seen = []

    def look(_record):
        seen.append(len(checkpoints(out)))

    trainer.train(chosen, out, on_step=look)
    assert seen == [0, 0, 1, 1, 1]  # before each save, while the run goes on
    assert not checkpoints(out)
    before = (out / "steps.jsonl").read_bytes()
    with pytest.raises(InputError, match="is finished and kept no checkpoint"):
        trainer.train(chosen, out, resume=True)
    assert (out / "steps.jsonl").read_bytes() == before
