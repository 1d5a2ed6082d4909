"""Sweeps: one table whatever the number of jobs, one plan a folder."""

from __future__ import annotations

import json

import pytest
from small_sweeps import CHOSEN, SMALL, small_sweep, steps_done, swept, untimed

from cobasim import runs as sweeps
from cobasim.errors import InputError
from cobasim.runs import CompareConfig, plan, rows, run_all, settle
from cobasim.scores import summarise
from cobasim.settings import validated


def test_the_table_holds_what_a_comparison_says(tmp_path):
    table = swept(small_sweep(), tmp_path / "sweep").to_pylist()
    assert [row["run"] for row in table] == list(range(4 * 2 * 2 * 2))
    values = settle("quick", SMALL | {"kappa": 11, "noise": 10}, **CHOSEN)
    config = validated(CompareConfig, values)
    runs = run_all(config, tmp_path / "compare", jobs=1)
    point = [row for row in table if row["kappa"] == 11 and row["noise"] == 10]
    for row, run, one in zip(point, runs, plan(config), strict=True):
        scores = summarise(run)
        assert (row["seed"], row["allocator"]) == (one.seed, one.allocator)
        assert row["final_heldout"] == scores.final_heldout
        assert row["auc"] == scores.auc


def test_points_may_set_different_things(tmp_path):
    points = ({"kappa": 7.0}, {"noise": 0.0, "weightings": ("prompt",)}, {})
    sweep = sweeps.Sweep("quick", SMALL, CHOSEN, points)
    rows = swept(sweep, tmp_path / "a", jobs=1).to_pylist()
    assert [len([r for r in rows if r["point"] == k]) for k in range(3)] == [8, 4, 8]
    assert {(r["point"], r["kappa"], r["noise"]) for r in rows} == {
        (0, 7.0, None), (1, None, 0.0), (2, None, None),
    }  # fmt: skip


def test_measures_are_further_columns(tmp_path):
    sweep = small_sweep("kappa=7")
    sweeps.claim(sweep, tmp_path / "a")
    table = sweeps.run_sweep(sweep, tmp_path / "a", jobs=2, measure=steps_done)
    assert table["steps_done"].to_pylist() == [6] * table.num_rows


def test_uniform_is_run_once_where_a_parameter_does_not_touch_it(tmp_path, monkeypatch):
    calls = []
    original = rows.execute_row
    monkeypatch.setattr(
        rows,
        "execute_row",
        lambda config, *_: calls.append(config.allocator) or original(config),
    )
    found = swept(small_sweep("kappa=7,9,11"), tmp_path / "a", jobs=1)
    assert found.num_rows == 24
    assert calls.count("uniform") == 4  # two seeds, two weightings
    assert calls.count("coba") == 12


def test_summary_pairs_by_seed(tmp_path):
    table = swept(small_sweep("kappa=7,11"), tmp_path / "a")
    rows = table.to_pylist()
    for row in sweeps.summary(table, ["kappa"]):
        mine = {
            r["seed"]: r["final_heldout"]
            for r in rows
            if (r["kappa"], r["weighting"], r["allocator"])
            == (row["kappa"], row["weighting"], row["allocator"])
        }
        base = {
            r["seed"]: r["final_heldout"]
            for r in rows
            if (r["kappa"], r["weighting"], r["allocator"])
            == (row["kappa"], row["weighting"], "uniform")
        }
        assert row["heldout"] == pytest.approx(100 * sum(mine.values()) / 2)
        if row["allocator"] == "uniform":
            assert row["minus_uniform"] is None
        else:
            difference = sum(mine[seed] - base[seed] for seed in mine) / 2
            assert row["minus_uniform"] == pytest.approx(100 * difference)


def test_the_number_of_processes_does_not_matter(tmp_path):
    one = swept(small_sweep(), tmp_path / "one", jobs=1)
    two = swept(small_sweep(), tmp_path / "two", jobs=2)
    assert untimed(one).equals(untimed(two))


def test_a_folder_belongs_to_one_plan(tmp_path):
    swept(small_sweep("kappa=7"), tmp_path / "a")
    with pytest.raises(InputError, match="another plan"):
        sweeps.claim(small_sweep("kappa=8"), tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no sweep"):
        sweeps.claim(small_sweep("kappa=8"), tmp_path / "b")


def test_damaged_and_foreign_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="holds no finished sweep"):
        sweeps.read_table(tmp_path)
    swept(small_sweep("kappa=7"), tmp_path / "a")
    names, rows = sweeps.read_table(tmp_path / "a")
    assert names == ["kappa"]
    assert len(rows) == 8
    (tmp_path / "a" / sweeps.PLAN).write_text("{")
    with pytest.raises(InputError, match="damaged"):
        sweeps.read_table(tmp_path / "a")


def test_a_plan_is_stored_with_all_that_made_it(tmp_path):
    sweep = small_sweep("kappa=7,11")
    swept(sweep, tmp_path / "a")
    stored = json.loads((tmp_path / "a" / sweeps.PLAN).read_text())
    assert stored["points"] == [{"kappa": 7}, {"kappa": 11}]
    assert stored["settings"] == SMALL
