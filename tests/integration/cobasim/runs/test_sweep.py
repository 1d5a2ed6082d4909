"""Sweeps: plans in bounds, one table whatever the number of jobs, the backend or interruptions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim import cli
from cobasim import runs as sweeps
from cobasim.errors import InputError
from cobasim.runs import CompareConfig, plan, rows, run_all, settle
from cobasim.scores import summarise
from cobasim.settings import validated

SMALL = {"num_prompts": 300, "num_heldout": 50}
CHOSEN = {
    "allocators": ("uniform", "coba"), "weightings": ("rollout", "prompt"), "seeds": 2,
    "steps": 6, "batch_size": 32, "total_budget": 256,
}  # fmt: skip
TIMES = ["seconds", "allocate_ms"]


def small(*texts: str, **changes) -> sweeps.Sweep:
    parameters = [sweeps.Parameter.parse(text) for text in texts or ("kappa=7,11", "noise=0,10")]
    return sweeps.Sweep("quick", SMALL, CHOSEN | changes, tuple(sweeps.points(parameters)))


def swept(sweep, out, **options):
    sweeps.claim(sweep, out)
    return sweeps.run_sweep(sweep, out, **options)


def untimed(table):
    return table.drop_columns(TIMES)


@given(
    low=st.floats(1e-6, 1e6), factor=st.floats(1.001, 1e6), log=st.booleans(),
    levels=st.integers(1, 30), share=st.floats(0, 1),
)  # fmt: skip
def test_a_range_stays_within_its_ends_and_a_grid_rises(low, factor, log, levels, share):
    text = f"tau={low!r}:{low * factor!r}" + (":log" if log else "") + f":{levels}"
    one = sweeps.Parameter.parse(text)
    assert one.low <= one.at(share) * (1 + 1e-9)
    assert one.at(share) <= one.high * (1 + 1e-9)
    grid = one.grid()
    assert len(grid) <= levels
    assert grid == sorted(set(grid))
    if levels > 1:
        assert grid[0] == pytest.approx(one.low)
        assert grid[-1] == pytest.approx(one.high)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kappa", "reads name=1,2,3"),
        ("kappa=", "reads name=1,2,3"),
        ("=1,2", "reads name=1,2,3"),
        ("kappa=7,7", "twice"),
        ("tau=5:5", "empty"),
        ("tau=9:5", "empty"),
        ("tau=nan:5", "empty"),
        ("tau=0:5:log", "above 0"),
        ("tau=a:5", "two numbers"),
        ("tau=1:5:lag", "log, int or a number"),
    ],
)
def test_a_bad_range_is_named(text, words):
    with pytest.raises(InputError, match=words):
        sweeps.Parameter.parse(text)


@settings(max_examples=25)
@given(st.sampled_from(["random", "lhs", "sobol"]), st.integers(1, 40), st.integers(0, 100))
def test_samples_are_as_many_as_asked_within_bounds_and_a_function_of_the_seed(method, size, seed):
    box = [
        sweeps.Parameter.parse("tau=1:64:log"), sweeps.Parameter.parse("window=1:9:int"),
        sweeps.Parameter.parse("world=logistic,skill-chain"),
    ]  # fmt: skip
    found = sweeps.points(box, method, samples=size, seed=seed)
    assert found == sweeps.points(box, method, samples=size, seed=seed)
    assert len(found) == size
    for point in found:
        assert 1 <= point["tau"] <= 64
        assert point["window"] in range(1, 10)
        assert point["world"] in ("logistic", "skill-chain")


def test_latin_hypercubes_fill_every_slice():
    box = [sweeps.Parameter.parse("tau=0:10"), sweeps.Parameter.parse("noise=0:10")]
    found = sweeps.points(box, "lhs", samples=10, seed=3)
    for name in ("tau", "noise"):
        assert sorted(int(point[name]) for point in found) == list(range(10))


def test_the_table_holds_what_a_comparison_says(tmp_path):
    table = swept(small(), tmp_path / "sweep").to_pylist()
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
    sweep = small("kappa=7")
    sweeps.claim(sweep, tmp_path / "a")
    table = sweeps.run_sweep(sweep, tmp_path / "a", jobs=2, measure=steps_done)
    assert table["steps_done"].to_pylist() == [6] * table.num_rows


def steps_done(run, loop):
    assert run.steps[-1].step == loop.step
    return {"steps_done": loop.step}


def test_uniform_is_run_once_where_a_parameter_does_not_touch_it(tmp_path, monkeypatch):
    calls = []
    original = rows.execute_row
    monkeypatch.setattr(
        rows,
        "execute_row",
        lambda config, *_: calls.append(config.allocator) or original(config),
    )
    found = swept(small("kappa=7,9,11"), tmp_path / "a", jobs=1)
    assert found.num_rows == 24
    assert calls.count("uniform") == 4  # two seeds, two weightings
    assert calls.count("coba") == 12


def test_summary_pairs_by_seed(tmp_path):
    table = swept(small("kappa=7,11"), tmp_path / "a")
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
    one = swept(small(), tmp_path / "one", jobs=1)
    two = swept(small(), tmp_path / "two", jobs=2)
    assert untimed(one).equals(untimed(two))


@pytest.mark.slow
def test_ray_gives_the_same_table(tmp_path):
    pytest.importorskip("ray", reason="ray is not installed")
    ours = swept(small(), tmp_path / "loky", jobs=1)
    out = tmp_path / "ray"
    arguments = ["--backend", "ray", "--jobs", "2", "--out", str(out)]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert untimed(pq.read_table(out / sweeps.TABLE)).equals(untimed(ours))


COMMAND = [
    sys.executable, "-m", "cobasim", "sweep", "--param", "kappa=7,11", "--param", "noise=0,10",
    "--allocators", "uniform,coba", "--seeds", "2", "--steps", "6", "--batch-size", "32",
    "--total-budget", "256", "--set", "num_prompts=300", "--set", "num_heldout=50",
]  # fmt: skip


@pytest.mark.slow
def test_after_kill_9_the_same_command_ends_with_the_same_table(tmp_path):
    out, longer = tmp_path / "killed", ["--steps", "150", "--jobs", "2"]
    process = subprocess.Popen(
        [*COMMAND, *longer, "--out", str(out)], start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(list((out / sweeps.ROWS).glob("*.json"))) < 5:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = sweeps.finished(out)
    assert 5 <= len(kept) < 32
    before = {number: (out / sweeps.ROWS / f"{number:07d}.json").stat().st_mtime for number in kept}
    for folder in (out, tmp_path / "whole"):
        done = subprocess.run(
            [*COMMAND, *longer, "--out", str(folder)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    for number, stamp in before.items():  # nothing was done twice
        assert (out / sweeps.ROWS / f"{number:07d}.json").stat().st_mtime == stamp
    one, other = (
        untimed(pq.read_table(folder / sweeps.TABLE)) for folder in (out, tmp_path / "whole")
    )
    assert one.equals(other)
    assert (out / sweeps.SUMMARY).read_bytes() == (tmp_path / "whole" / sweeps.SUMMARY).read_bytes()


def test_a_folder_belongs_to_one_plan(tmp_path):
    swept(small("kappa=7"), tmp_path / "a")
    with pytest.raises(InputError, match="another plan"):
        sweeps.claim(small("kappa=8"), tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds no sweep"):
        sweeps.claim(small("kappa=8"), tmp_path / "b")


def test_damaged_and_foreign_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="holds no finished sweep"):
        sweeps.read_table(tmp_path)
    swept(small("kappa=7"), tmp_path / "a")
    names, rows = sweeps.read_table(tmp_path / "a")
    assert names == ["kappa"]
    assert len(rows) == 8
    (tmp_path / "a" / sweeps.PLAN).write_text("{")
    with pytest.raises(InputError, match="damaged"):
        sweeps.read_table(tmp_path / "a")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to sweep"),
        (["--param", "kapa=7,11"], "did you mean 'kappa'"),
        (["--param", "kappa=7,1"], "kappa must be above 2"),
        (["--param", "total_budget=8192,1"], "total"),
        (["--param", "kappa=7,11", "--method", "sobl"], "unknown method"),
        (["--param", "kappa=7,11", "--param", "kappa=2"], "swept twice"),
        (["--param", "kappa=3:30:1000", "--param", "noise=0:9:10"], "--yes"),
        (["--param", "kappa=7", "--backend", "slurm"], "backend"),
        (["--param", "kappa=7", "--allocators", "cobra"], "coba"),
        (["--file", "none.yaml"], "none.yaml"),
    ],
)
def test_bad_plans_are_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["cobasim", "sweep", *arguments, "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    errors = capsys.readouterr().err
    assert stop.value.code == 2
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert words in errors
    assert not out.exists()


def test_a_plan_in_yaml_and_a_dry_run(tmp_path, monkeypatch, capsys):
    file = tmp_path / "plan.yaml"
    file.write_text('param: {kappa: [7, 11], tau: "1:64:log:3"}\nset: {num_prompts: 700}\n')
    texts, held = sweeps.read_plan(file)
    assert texts == ["kappa=7,11", "tau=1:64:log:3"]
    assert held == {"num_prompts": 700}
    out = tmp_path / "out"
    monkeypatch.setattr(
        sys, "argv",
        ["cobasim", "sweep", "--file", str(file), "--dry-run", "--seeds", "2", "--steps", "5",
         "--batch-size", "32", "--total-budget", "256", "--out", str(out)],
    )  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert "6 points, 168 runs" in capsys.readouterr().out
    assert not out.exists()


def test_a_plan_is_stored_with_all_that_made_it(tmp_path):
    sweep = small("kappa=7,11")
    swept(sweep, tmp_path / "a")
    stored = json.loads((tmp_path / "a" / sweeps.PLAN).read_text())
    assert stored["points"] == [{"kappa": 7}, {"kappa": 11}]
    assert stored["settings"] == SMALL
