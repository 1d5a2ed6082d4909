"""The trainer's commands on a trained run."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.data import read_pass_rates
from cobasim.records import read_run
from cobatrain import measurement as measuring
from cobatrain import trainer
from cobatrain.config import load_config
from cobatrain.parallel import checkpoints


def test_command_line_says_what_is_wrong_in_one_line(config, tmp_path, cobatrain):
    cases = [
        (["train", "nothing.yaml"], "no such config"),
        (["train", "tiny", "--set", "lop.steps=3"], "lop"),
        (["train", "tiny", "--allocator", "cobra"], "did you mean 'coba'"),
        (["resume", str(tmp_path / "none")], "none"),
        (["evaluate", "tiny", "--set", "model.path=nowhere"], "cobatrain prepare"),
        (["compare", "tiny", "--seeds", "0"], "seeds"),
    ]
    for arguments, expected in cases:
        answer = cobatrain(*arguments)
        assert answer.code == 2, arguments
        assert answer.err.startswith("error: ")
        assert answer.err.count("\n") == 1
        assert expected in answer.err


def test_measured_pass_rates_stand_beside_the_estimates(config, tmp_path, monkeypatch, cobatrain):
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
    assert np.array_equal(one.pass_rate, other.pass_rate)  # however it is cut
    classes = one.against_estimates()
    assert sum(row["prompts"] for row in classes) == stored.task["train_size"]
    assert classes[0]["estimate"] == "unseen"
    assert classes[0]["prompts"] == stored.task["train_size"] - 4 * 24
    seen = one.attempts > 0
    assert np.corrcoef(one.estimate[seen], one.pass_rate[seen])[0, 1] > 0.3  # by chance: 0.1
    assert measured(8192, None).against_estimates() == []

    out = tmp_path / "rates.csv"
    command = ("measure", run, "--rollouts", 4, "--out", out)
    answer = cobatrain(*command)
    assert answer.code == 0
    assert "unseen" in answer.out
    assert read_pass_rates(str(out)) == pytest.approx(one.pass_rate)
    again = cobatrain(*command)
    assert again.code == 2
    assert "exists" in again.err


def test_exact_rates_are_those_that_sampling_finds(config, tmp_path, monkeypatch, cobatrain):
    run = tmp_path / "run"
    chosen = config("loop.steps=4", "task.train_size=300")
    trainer.train(chosen, run)
    with trainer.open_learner(chosen, checkpoint=checkpoints(run)[-1]) as (learner, state):
        exact = measuring.measure(learner, state, rollouts=None)
        monkeypatch.setattr(measuring, "CHUNK", 70)
        again = measuring.measure(learner, state, rollouts=None)
        sampled = measuring.measure(learner, state, rollouts=64)
    np.testing.assert_allclose(exact.pass_rate, again.pass_rate, rtol=1e-4)
    rates, passes = exact.pass_rate, 64 * sampled.pass_rate
    spread = np.sqrt(64 * rates * (1 - rates))
    assert abs(passes.sum() - 64 * rates.sum()) < 5 * np.sqrt((spread**2).sum())
    scores = (passes - 64 * rates) / np.maximum(spread, 0.3)
    assert np.abs(scores).max() < 6
    assert (scores**2).mean() < 1.5

    out = tmp_path / "rates.csv"
    answer = cobatrain("measure", run, "--exact", "--out", out)
    assert answer.code == 0, answer.err
    assert "300 prompts, exact: mean pass rate" in " ".join(answer.out.split())
    assert "unseen" in answer.out  # beside the run's estimates, as sampled ones
    assert "groups of" in answer.out  # the last column's head, whole at 80 characters
    assert "…" not in answer.out
    table = answer.out.partition("pass rates ")[0]  # then comes the path of the file
    assert max(map(len, table.splitlines())) <= 80
    header, first = out.read_text().splitlines()[:2]
    assert header == "prompt,level,pass_rate,exact,estimate,estimate_attempts,length"
    assert first.split(",")[-4] == "yes"
    assert read_pass_rates(str(out)) == pytest.approx(rates, rel=1e-4)


def test_where_there_are_no_exact_rates(config, tmp_path, cobatrain):
    model = config().model.path
    common = ("measure", "tiny", "--set", f"model.path={model}", "--exact")
    for more, words in (
        (("--rollouts", 4), "--exact samples nothing"),
        (("--set", "sampling.max_tokens=2"), "--exact: the answer of .* could never finish"),
    ):
        answer = cobatrain(*common, *more)
        assert (answer.code, answer.out) == (2, "")
        assert re.search(words, answer.err.splitlines()[-1])


def test_a_run_folder_stands_for_its_config_and_checkpoint(config, tmp_path, cobatrain):
    run = tmp_path / "run"
    trainer.train(config(), run)
    answer = cobatrain("evaluate", run, "--json")
    assert answer.code == 0
    alone = json.loads(answer.out[answer.out.index("{") :])
    last = read_run(run).steps[-1].evaluation
    assert alone["heldout"] > 0
    assert abs(alone["heldout"] - last["heldout"]) < 0.1  # the same policy, other samples
