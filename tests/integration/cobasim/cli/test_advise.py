"""``cobasim advise``: one source, an answer in words or JSON, bad input in one line."""

from __future__ import annotations

import json

import pytest
from command_line import check_one_line
from repository import EXAMPLES
from synthetic_runs import write_run

from cobasim.allocation import ESTIMATORS
from cobasim.experiments import advice

SMALL = ["--batch-size", "8", "--total-budget", "64", "--visits", "1", "--jobs", "1"]


@pytest.fixture
def rates(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text("pass_rate\n" + "".join(f"{i / 60}\n" for i in range(61)))
    return str(path)


@pytest.fixture
def quick(monkeypatch):
    effort = advice.Effort(tried=4, kept=2, seeds=1)
    monkeypatch.setattr(advice, "Effort", lambda: effort)


def test_it_answers_in_words_and_in_numbers(cobasim, rates, quick, tmp_path):
    told = cobasim(
        "advise", "--pass-rates", rates, *SMALL, "--trainer", "trl", "--out", tmp_path / "a"
    )
    assert told.code == 0
    assert told.out.startswith(("Use ", "Stay with uniform budgets"))
    assert "61 pass rates" in told.err
    assert (tmp_path / "a" / "advice.html").is_file()
    found = json.loads(cobasim("advise", "--pass-rates", rates, *SMALL, "--json").out)
    assert found["recommended"] in ("uniform", *advice.CANDIDATES)
    assert found == json.loads(cobasim("advise", "--pass-rates", rates, *SMALL, "--json").out)
    written = json.loads((tmp_path / "a" / "advice.json").read_text())
    assert written["options"] == found["options"]


def test_it_answers_for_a_run_and_for_measured_gradients(cobasim, quick, tmp_path):
    write_run(tmp_path / "run", "uniform")
    measured = EXAMPLES / "gradients_tiny_lm.npz"
    for source, kind in (("--run", "run"), ("--measured", "measured")):
        path = tmp_path / "run" if kind == "run" else measured
        sizes = ["--batch-size", "16", "--total-budget", "128", "--visits", "0.5", "--jobs", "1"]
        found = json.loads(cobasim("advise", source, path, *sizes, "--json").out)
        assert found["case"]["kind"] == kind
        assert {option["allocator"] for option in found["options"]} == set(advice.CANDIDATES)
        assert {option["estimator"] for option in found["options"]} <= set(ESTIMATORS)


def test_a_loss_per_token_is_answered_as_per_rollout_which_is_said(cobasim, rates, quick):
    found = {
        name: json.loads(
            cobasim("advise", "--pass-rates", rates, *SMALL, "--weighting", name, "--json").out
        )
        for name in ("rollout", "token")
    }
    assert found["token"]["options"] == found["rollout"]["options"]
    assert found["token"]["case"]["weighting"] == "token"
    (note,) = set(found["token"]["notes"]) - set(found["rollout"]["notes"])
    assert "have no lengths" in note


def test_bad_input_is_one_line(cobasim, rates, tmp_path):
    none = tmp_path / "none.csv"
    none.write_text("pass_rate\n0\n0\n0\n0\n")
    for arguments, words in (
        ([], "give one of --pass-rates, --run, --measured; none of them was given"),
        (["--pass-rates", rates, "--run", "x"], "--pass-rates and --run was given"),
        (["--run", tmp_path], "has no header.json"),
        (["--measured", tmp_path / "x.npz"], "x.npz"),
        (["--pass-rates", none], "all 4 pass rates are 0"),
        (["--pass-rates", rates, "--batch-size", "100"], "a step of 100 prompts needs a pool"),
        (["--pass-rates", rates, "--weighting", "batch"], "unknown weighting 'batch'"),
        (["--pass-rates", rates, "--trainer", "mine"], "unknown trainer 'mine'"),
        (["--run", tmp_path, "--percent"], "need --pass-rates FILE"),
        (["--pass-rates", rates, "--total-budget", "3", "--batch-size", "8"], "3"),
    ):
        answer = cobasim("advise", *arguments)
        check_one_line(answer.code, answer.out, answer.err)
        assert words in answer.err, answer.err
