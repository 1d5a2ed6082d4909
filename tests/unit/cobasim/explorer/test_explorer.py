"""What the app does without widgets: its batches, tables, and folders of runs."""

from __future__ import annotations

import csv
import gzip
import io

import numpy as np
import pytest
from simulation_choice import CHOICE
from synthetic_runs import write_run, write_runs

from cobasim.allocation import Limits, Observation
from cobasim.errors import InputError
from cobasim.explorer import (
    Job,
    SimulationChoice,
    budgets_csv,
    comparison_csv,
    comparison_rows,
    describe_run,
    estimated,
    mark_unseen,
    nearest_step,
    read_upload,
    run_folders,
    save,
    shortened,
    state,
)
from cobasim.scores import comparison_table
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


def test_an_upload_is_named_as_it_was_uploaded():
    measured = read_upload("rates.json", b"[0.5, 1]")
    assert measured.pass_rate.tolist() == [0.5, 1.0]
    assert measured.source == "rates.json"
    with pytest.raises(InputError, match=r"^rates\.csv: ") as caught:
        read_upload("rates.csv", b"pass_rate\nmuch\n")
    assert "upload" not in str(caught.value)
    zipped = read_upload("my.rates.csv.gz", gzip.compress(b"pass_rate,rollouts\n0.5,8\n"))
    assert zipped.attempts.tolist() == [8]


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


def test_save_refuses_names_that_lead_elsewhere(tmp_path):
    (tmp_path / "job" / "out").mkdir(parents=True)
    job = Job("t", [], tmp_path / "job", None)
    for name in ("", "..", "a/b", "/tmp/x", "x" * 200):
        with pytest.raises(InputError, match="plain folder name"):
            save(job, name, tmp_path / "runs")
    save(job, "good", tmp_path / "runs")
    with pytest.raises(InputError, match="already exists"):
        save(job, "good", tmp_path / "runs")
