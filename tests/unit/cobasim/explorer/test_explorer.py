"""What the app does without widgets: its batches, tables, and folders of runs."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from simulation_choice import CHOICE
from synthetic_runs import write_run, write_runs

from cobasim.allocation import Limits, Observation
from cobasim.data import RateOptions
from cobasim.errors import InputError
from cobasim.explorer import (
    Job,
    SimulationChoice,
    budgets_csv,
    comparison_csv,
    comparison_rows,
    describe_run,
    differences,
    estimated,
    grouped,
    keep_rates,
    mark_unseen,
    matching,
    nearest_step,
    rate_files,
    read_rates,
    report_of,
    reports_of,
    run_folders,
    save,
    shortened,
    state,
    time_left,
)
from cobasim.records import read_run
from cobasim.scores import comparison_table, final_accuracy
from cobasim.whatif import what_if


@pytest.mark.parametrize(
    ("change", "words"),
    [({"total_budget": 8}, "total"), ({"batch_size": 65}, "65"), ({"world": "nowhere"}, "world")],
)
def test_an_impossible_simulation_is_refused_before_it_starts(change, words):
    options = {**CHOICE.options, **change}
    choice = SimulationChoice(("coba",), "rollout", 1, options, CHOICE.settings)
    with pytest.raises(InputError, match=words):
        _ = choice.config


def test_estimates_are_pass_counts_and_some_prompts_are_unseen():
    rng = np.random.default_rng(0)
    true = rng.random(40)
    assert estimated(true, None, rng)[0] is true
    rates, attempts = estimated(true, 8, rng)
    np.testing.assert_allclose(8 * rates, (8 * rates).round())
    assert attempts.tolist() == [8.0] * 40
    marked = mark_unseen(attempts, 25, rng)
    assert sorted(set(marked.tolist())) == [0.0, 8.0]
    assert np.count_nonzero(marked == 0.0) == 10


def test_the_nearest_step_with_budgets_is_found(tmp_path):
    run = write_run(tmp_path / "run", "coba", steps=10)
    assert nearest_step(run, 7).step == 7
    assert nearest_step(run, 0).step == 1  # step 0 spends nothing
    with pytest.raises(InputError, match="not recorded any budgets"):
        nearest_step(type(run)(run.header, run.steps[:1], run.path), 3)


def test_an_upload_is_named_as_it_was_uploaded(tmp_path):
    kept = keep_rates("rates.json", b"[0.5, 1]", tmp_path)
    assert keep_rates("rates.json", b"[0.5, 1]", tmp_path) == kept
    measured = read_rates(kept)
    assert measured.pass_rate.tolist() == [0.5, 1.0]
    assert measured.source == "rates.json"
    with pytest.raises(InputError, match=r"^rates\.csv: ") as caught:
        read_rates(keep_rates("rates.csv", b"pass_rate\nmuch\n", tmp_path))
    assert str(tmp_path) not in str(caught.value)
    zipped = gzip.compress(b"pass_rate,rollouts\n0.5,8\n")
    assert read_rates(keep_rates("my.rates.csv.gz", zipped, tmp_path)).attempts.tolist() == [8]
    assert keep_rates("../../x.csv", b"0", tmp_path).is_relative_to(tmp_path)


def test_the_example_and_the_rates_of_runs_are_offered(tmp_path):
    (tmp_path / "imported").mkdir()
    (tmp_path / "imported" / "pass_rates.csv").write_text("pass_rate\n0.5\n")
    found = rate_files(tmp_path)
    assert [name.split(":")[0] for name in found] == ["Example", "imported/pass_rates.csv"]
    assert read_rates(found["imported/pass_rates.csv"]).pass_rate.tolist() == [0.5]


def test_measured_pass_rates_are_the_pool_of_a_simulation(tmp_path):
    file = tmp_path / "rates.csv"
    file.write_text("p,n\n" + "0.25,8\n" * 70)
    reading = RateOptions(column="p", attempts="n")
    settings = {"learning_rate": 0.003, "prompt_noise": 5.0}
    choice = SimulationChoice(
        ("uniform",), "rollout", 1, CHOICE.options, settings, str(file), reading
    )
    assert choice.config.world.num_prompts == 70
    assert choice.config.world.prompt_noise == 5.0
    assert choice.config.loop.first_beliefs == "measured"
    words = choice.arguments
    at = words.index("--pass-rates")
    assert words[at : at + 6] == ["--pass-rates", str(file), "--column", "p", "--attempts", "n"]


def test_a_stale_result_names_what_changed():
    now = replace(CHOICE, settings={**CHOICE.settings, "kappa": 20.0, "tau": 64.0})
    assert differences(CHOICE.arguments, CHOICE.arguments) == []
    assert differences(CHOICE.arguments, now.arguments) == [
        "kappa: 20 now, 15 in these results",
        "tau: 64 now, default in these results",
    ]
    fewer = replace(CHOICE, allocators=("uniform",), seeds=3)
    assert [line.split(":")[0] for line in differences(CHOICE.arguments, fewer.arguments)] == [
        "allocators", "seeds",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("done", "total", "seconds", "words"),
    [
        (0, 10, 5.0, None),
        (10, 10, 5.0, None),
        (5, 10, 5.0, "about 5 s left"),
        (1, 1001, 1.0, "about 17 min left"),
        (1, 11, 3600.0, "about 10 hours left"),
    ],
)
def test_the_time_left_follows_the_pace_so_far(done, total, seconds, words):
    assert time_left(done, total, seconds) == words


def test_runs_of_one_setting_are_one_row_with_an_interval(tmp_path):
    for name, seed in (("uniform", 0), ("uniform", 1), ("coba", 0)):
        write_run(tmp_path / "a" / name / str(seed), name, seed=seed, steps=5)
    write_run(tmp_path / "b" / "uniform" / "0", "uniform", seed=0, steps=5)
    rows = [{"run": name, **describe_run(str(path))} for name, path in run_folders(tmp_path)]
    groups = grouped(rows)
    assert [(group["folder"], group["seeds"]) for group in groups] == [
        ("a/coba", 1), ("a/uniform", 2), ("b/uniform", 1),
    ]  # fmt: skip
    two = groups[1]
    values = [row["held-out (%)"] for row in rows if row["run"] in two["runs"]]
    assert two["held-out (%)"] == pytest.approx(sum(values) / 2, abs=0.006)
    assert two["± (95 %)"] > 0
    assert groups[0]["± (95 %)"] is None
    assert [row["run"] for row in matching(rows, "UNIFORM b/")] == ["b/uniform/0"]
    assert matching(rows, "") == rows


@pytest.mark.parametrize("last_evaluated", [True, False])
def test_the_row_of_a_run_is_read_from_its_end(tmp_path, last_evaluated):
    run = write_run(tmp_path / "run", "coba", steps=23 if last_evaluated else 20, every=10)
    file = tmp_path / "run" / "steps.jsonl"
    lines = file.read_text().splitlines()
    if not last_evaluated:
        one = json.loads(lines[-1])
        lines.append(json.dumps(one | {"step": 21, "evaluation": None}))
    lines[5] = "{ damaged"  # the page of the run will say so
    file.write_text("\n".join(lines) + "\n{ half a li")
    row = describe_run(str(tmp_path / "run"))
    assert row["problem"] == ""
    assert row["steps"] == (23 if last_evaluated else 21)
    assert row["held-out (%)"] == pytest.approx(100 * final_accuracy(run), abs=0.006)
    with pytest.raises(InputError, match="line 6"):
        read_run(tmp_path / "run")
    file.write_text("\n".join([*lines, "{ damaged"]) + "\n")
    assert "at its end" in describe_run(str(tmp_path / "run"))["problem"]


def test_a_report_is_found_above_a_run_and_made_of_several(tmp_path):
    write_run(tmp_path / "cmp" / "rollout" / "uniform" / "0", "uniform", steps=5)
    runs = [
        write_run(tmp_path / "cmp" / "rollout" / name / str(seed), name, seed=seed, steps=5)
        for name in ("uniform", "coba")
        for seed in (1, 2)
    ]
    assert reports_of(["cmp/rollout/uniform/0"], tmp_path) == {}
    (tmp_path / "cmp" / "report.html").write_text("<p>")
    (tmp_path.parent / "report.html").write_text("outside the folder of runs")
    assert reports_of(["cmp/rollout/uniform/0"], tmp_path) == {
        "cmp": tmp_path / "cmp" / "report.html"
    }
    page = report_of(runs, "runs").decode()
    assert "Comparison of 4 runs" in page
    with pytest.raises(InputError, match=r"cmp/rollout/uniform/1 and "):
        report_of([*runs, runs[0]], "runs")


def test_budgets_as_csv_have_one_row_per_prompt():
    obs = Observation(np.array([0.25, 0.5, 1.0]), np.ones(3), failure_rate=0.5)
    outcomes = what_if(obs, Limits(48, 2, 128), ["uniform", "coba"])
    rows = list(csv.DictReader(io.StringIO(budgets_csv(obs, outcomes))))
    assert [float(row["pass_rate"]) for row in rows] == [0.25, 0.5, 1.0]
    for name in ("uniform", "coba"):
        assert sum(int(row[name]) for row in rows) == 48


def test_a_comparison_is_shown_and_exported_with_the_same_numbers(tmp_path):
    rows = comparison_table(write_runs(tmp_path, {"uniform": 0.1, "coba": 0.15}, 3), "uniform")
    shown = comparison_rows(rows)
    exported = list(csv.DictReader(io.StringIO(comparison_csv(rows))))
    assert len(shown) == len(exported) == 4
    for row, line in zip(shown, exported, strict=True):
        assert row["allocator"] == line["allocator"]
        assert row["held-out (%)"].startswith(f"{100 * float(line['heldout']):.2f} ±")
        assert (row["minus uniform (points)"] == "") == (line["difference"] == "")


def test_a_run_is_finished_running_stopped_or_unreadable(tmp_path):
    write_run(tmp_path / "a" / "run", "coba", steps=5)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "header.json").write_text("{}")
    (tmp_path / ".hidden").mkdir()
    folders = dict(run_folders(tmp_path))
    assert list(folders) == ["a/run", "broken"]
    row = describe_run(str(folders["a/run"]))
    assert (row["allocator"], row["steps"], row["problem"]) == ("coba", 5, "")
    assert state(row | {"planned": 5}, 1e9) == "finished"
    assert state(row | {"planned": 9}, 1.0) == "running"
    assert state(row | {"planned": 9}, 1e9) == "stopped"
    assert state(describe_run(str(folders["broken"])), 0.0) == "unreadable"


def test_names_lose_what_they_share(tmp_path):
    run = write_run(tmp_path / "run", steps=1)
    assert list(shortened({"a/b/c": run})) == ["c"]
    assert list(shortened({"a/b/c": run, "a/d": run})) == ["b/c", "d"]
    assert list(shortened({"a": run, "b": run})) == ["a", "b"]


def test_a_job_without_records_says_whether_any_will_come(tmp_path):
    going = SimpleNamespace(poll=lambda: None)
    ended = SimpleNamespace(poll=lambda: 1, returncode=1)
    assert "appear" in Job("t", [], tmp_path, going).before_records()
    stopped = Job("t", [], tmp_path, ended, stopped=True)
    assert "stopped before its first record" in stopped.before_records()
    assert stopped.error() is None
    (tmp_path / "stderr.txt").write_text("error: no such file\n")
    failed = Job("t", [], tmp_path, ended)
    assert (failed.before_records(), failed.error()) == (None, "error: no such file")


def test_save_refuses_names_that_lead_elsewhere(tmp_path):
    (tmp_path / "job" / "out").mkdir(parents=True)
    job = Job("t", [], tmp_path / "job", None)
    for name in ("", "..", "a/b", "/tmp/x", "x" * 200):
        with pytest.raises(InputError, match="plain folder name"):
            save(job, name, tmp_path / "runs")
    save(job, "good", tmp_path / "runs")
    with pytest.raises(InputError, match="already exists"):
        save(job, "good", tmp_path / "runs")
