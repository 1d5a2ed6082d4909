"""``cobasim compare``: the same numbers whatever the jobs, paired, nothing overwritten or lost."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import check_one_line
from repository import MEASURED, ROOT

from cobasim import runs
from cobasim.records import find_runs, read_run
from cobasim.runs import comparison, execute

TINY = [
    "compare", "--allocators", "uniform,coba,oracle-knapsack", "--seeds", "2", "--steps", "12",
    "--batch-size", "32", "--total-budget", "512", "--set", "num_prompts=100",
    "--set", "num_heldout=60",
]  # fmt: skip


def without_times(numbers: dict) -> dict:
    for row in numbers["rows"]:
        row.pop("allocate_ms")
    return numbers


def test_numbers_do_not_depend_on_the_number_of_jobs(tmp_path, cobasim):
    found = []
    for jobs in ("1", "2"):
        code, out, _ = cobasim(*TINY, "--json", "--jobs", jobs, "--out", str(tmp_path / jobs))
        assert code == 0
        found.append(without_times(json.loads(out)))
    assert found[0] == found[1]
    assert {row["allocator"] for row in found[0]["rows"]} == {"uniform", "coba", "oracle-knapsack"}
    assert {row["weighting"] for row in found[0]["rows"]} == {"rollout", "prompt"}


def test_table_report_numbers_and_runs_are_left_behind(tmp_path, cobasim):
    out = tmp_path / "new" / "folder"
    code, text, errors = cobasim(*TINY, "--out", str(out))
    assert (code, errors) == (0, "")
    for word in ("uniform", "coba", "oracle-knapsack", "baseline", "rollout %", "prompt %"):
        assert word in text
    stored = json.loads((out / "comparison.json").read_text())
    assert stored["command"].startswith("cobasim compare")
    assert stored["versions"]["numpy"] == np.__version__
    rows = {(row["weighting"], row["allocator"]): row for row in stored["rows"]}
    assert len(rows) == 6
    assert rows["rollout", "uniform"]["heldout"] == rows["prompt", "uniform"]["heldout"]
    report = (out / "report.html").read_text()
    assert "oracle-knapsack" in report
    assert "plotly" in report
    recorded = [read_run(path) for path in find_runs(out)]
    assert len(recorded) == 12
    assert {run.steps[-1].rollouts for run in recorded} == {12 * 512}
    assert all(run.header.source == "sim" for run in recorded)
    # the table's difference is the mean of the differences within a seed
    by_seed = {
        (run.header.allocator, run.header.seed): run.steps[-1].evaluation["heldout"]
        for run in recorded
        if run.header.weighting == "rollout"
    }
    differences = [by_seed["coba", seed] - by_seed["uniform", seed] for seed in (0, 1)]
    reported = rows["rollout", "coba"]["heldout_difference"]["mean"]
    assert reported == pytest.approx(np.mean(differences))


def test_an_existing_folder_is_never_overwritten(tmp_path, cobasim):
    (tmp_path / "precious").write_text("data")
    answer = cobasim(*TINY, "--out", str(tmp_path))
    check_one_line(*answer)
    assert "holds no comparison; choose another --out" in answer.err
    assert (tmp_path / "precious").read_text() == "data"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupted_comparison_resumes_with_the_command_that_it_names(
    tmp_path, monkeypatch, cobasim
):
    """Only what is missing runs again, and the numbers are those of an uninterrupted one."""
    whole = without_times(json.loads(cobasim(*TINY, "--json", "--out", tmp_path / "whole").out))
    monkeypatch.chdir(tmp_path)
    started = []

    def run(config, out, pool):
        path = execute(config, out, pool)
        started.append(path)
        if len(started) == 8:  # as if killed in the middle of its steps
            lines = (path / "steps.jsonl").read_bytes().splitlines(keepends=True)
            (path / "steps.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:9])
            raise KeyboardInterrupt
        return path

    monkeypatch.setattr(comparison, "execute", run)
    answer = cobasim(*TINY, "--jobs", "1")
    assert answer.code == 130
    (folder,) = Path("runs").iterdir()
    said = f"error: interrupted; finished runs are kept in {folder}; to resume there: cobasim "
    assert answer.err.startswith(said)
    command = shlex.split(answer.err.partition("to resume there: cobasim ")[2])
    assert command == [*TINY, "--jobs", "1", "--out", str(folder)]
    resumed = cobasim(*command, "--json")
    assert resumed.code == 0, resumed.err
    assert without_times(json.loads(resumed.out)) == whole
    assert len(started) == 8 + 12 - 7
    assert len(find_runs(folder)) == 12
    assert cobasim(*command).code == 0  # all there: the table again
    assert len(started) == 13
    other = cobasim(*command, "--seeds", "3")
    check_one_line(*other)
    assert "holds another plan" in other.err


def test_a_run_without_a_second_visit_names_no_winner_and_says_why(tmp_path, cobasim):
    answers = [
        cobasim(*TINY, "--steps", steps, "--set", "num_prompts=320", "--out", tmp_path / steps).out
        for steps in ("10", "11")
    ]
    for text, blind in zip(answers, (True, False), strict=True):
        text = " ".join(text.split())
        assert ("No winner: no prompt was visited twice yet" in text) == blind
        assert ("(prompts of the pool / prompts of a step, 10 steps)" in text) == blind


@pytest.mark.parametrize("columns", ["40", "60", "80"])
def test_numbers_are_whole_in_a_narrow_terminal(columns, tmp_path, monkeypatch, cobasim):
    monkeypatch.setenv("COLUMNS", columns)
    arguments = [*TINY, "--steps", "2", "--allocators", "uniform,coba", "--seeds", "1"]
    text = cobasim(*arguments, "--out", tmp_path / "x").out
    assert "…" not in text
    rows = json.loads((tmp_path / "x" / "comparison.json").read_text())["rows"]
    for row in rows:
        assert f"{100 * row['heldout']['mean']:.2f}" in text
        assert f"{100 * row['hard']['mean']:.2f}" in text


def test_measured_pass_rates_are_where_the_simulated_prompts_start(tmp_path, cobasim):
    code, out, _ = cobasim(
        "compare", "--pass-rates", str(MEASURED), "--allocators",
        "uniform", "--seeds", "1", "--steps", "1", "--weighting", "rollout", "--json",
        "--batch-size", "64", "--total-budget", "1024", "--out", str(tmp_path / "x"),
    )  # fmt: skip
    assert code == 0
    assert json.loads(out)["config"]["world"]["num_prompts"] == 4096
    (run,) = [read_run(path) for path in find_runs(tmp_path / "x")]
    measured = np.genfromtxt(MEASURED, delimiter=",", names=True, dtype=None, encoding="utf-8")
    mean = np.clip(measured["pass_rate"], 1e-3, 1 - 1e-3).mean()
    assert run.steps[0].evaluation["pool"] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("file", "doubted"),
    [("docs/real/smollm2/start.npz", True), ("examples/gradients_tiny_lm.npz", False)],
)
def test_features_from_rollouts_are_doubted_below_the_table(file, doubted, tmp_path, cobasim):
    code, out, _ = cobasim(
        "compare", "--world", f"measured:{ROOT / file}", "--allocators", "uniform",
        "--seeds", "1", "--steps", "1", "--weighting", "rollout", "--out", str(tmp_path / "x"),
    )  # fmt: skip
    assert code == 0
    assert ("Features from rollouts are not to be trusted" in out) == doubted


BAD = {
    "unknown allocator": (["--allocators", "unifrom"], "did you mean 'uniform'"),
    "unknown oracle": (["--allocators", "oracle-cobra"], "did you mean 'coba'"),
    "named twice": (["--allocators", "coba,coba"], "twice"),
    "no allocator": (["--allocators", ","], "allocators"),
    "zero seeds": (["--seeds", "0"], "greater than or equal to 1"),
    "zero steps": (["--steps", "0"], "steps"),
    "zero jobs": (["--jobs", "0"], "--jobs"),
    "text for a number": (["--seeds", "many"], "--seeds"),
    "unknown world": (["--world", "flat"], "unknown world 'flat'"),
    "unknown weighting": (["--weighting", "rolout"], "did you mean 'rollout'"),
    "unknown preset": (["--preset", "quik"], "did you mean 'quick'"),
    "unknown estimator": (["--estimator", "lst"], "did you mean 'last'"),
    "unknown option": (["--sedes", "3"], "--seeds"),
    "unknown setting": (["--set", "kapa=3"], "did you mean 'kappa'"),
    "setting without value": (["--set", "kappa"], "name=value"),
    "weighting as setting": (["--set", "weighting=prompt"], "--weighting"),
    "kappa too small": (["--set", "kappa=2"], "kappa must be above 2"),
    "tau not above 0": (["--set", "tau=0"], "tau must be above 0"),
    "NaN": (["--set", "tau=NaN"], "tau must be above 0"),
    "transfer out of range": (["--set", "transfer=1.5"], "transfer"),
    "infeasible total": (["--total-budget", "100"], "can spend 1024 to 65536"),
    "low above high": (["--low", "20", "--high", "10"], "above high"),
    "batch above pool": (["--set", "num_prompts=100"], "pool of at least"),
    "missing file": (["--pass-rates", "nowhere.csv"], "no such file: nowhere.csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_and_leaves_nothing(case, tmp_path, cobasim):
    arguments, expected = BAD[case]
    out = tmp_path / "out"
    code, text, errors = cobasim("compare", *arguments, "--out", str(out))
    check_one_line(code, text, errors)
    assert expected in errors
    assert not out.exists()


def test_an_unwritable_place_is_one_line(cobasim):
    answer = cobasim(*TINY, "--out", "/proc/nothing/here")
    check_one_line(*answer)
    assert "/proc/nothing" in answer.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line(tmp_path, monkeypatch, cobasim):
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if data.startswith(b'{"step":5'):
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    out = tmp_path / "out"
    code, _, errors = cobasim(*TINY, "--jobs", "1", "--out", str(out))
    assert code == 2
    assert errors.startswith("error: No space left on device")
    assert errors.count("\n") == 1
    assert not (out / "report.html").exists()
    (run,) = [read_run(path) for path in find_runs(out)]
    assert run.steps[-1].step == 4  # whole lines only


def test_verdict_words_come_with_every_weighting(tmp_path, cobasim):
    code, out, _ = cobasim(*TINY, "--json", "--out", str(tmp_path / "v"))
    assert code == 0
    assert set(json.loads(out)["verdicts"]) == {"rollout", "prompt"}
    assert runs.REPORT == "report.html"
