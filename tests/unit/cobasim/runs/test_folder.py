"""Folders of runs: one plan each, one writer at a time; what an experiment leaves in them."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from cobasim.errors import InputError
from cobasim.experiments import Page, claim_parts, num_runs, paragraphs, run_parts, store
from cobasim.runs import (
    LOCK,
    PLAN,
    Sweep,
    claim,
    claim_folder,
    claim_new_folder,
    run_sweep,
    writing,
)

CHOSEN = {
    "allocators": ("uniform", "coba"), "weightings": ("rollout",), "seeds": 1, "steps": 2,
    "batch_size": 16, "total_budget": 64,
}  # fmt: skip
SETTINGS = {"num_prompts": 64, "num_heldout": 20}

HOLD = """
import sys
from pathlib import Path
from cobasim.runs import writing
with writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
CLAIM = """
import sys
from pathlib import Path
from cobasim.errors import InputError
from cobasim.runs import claim_folder
try:
    claim_folder(Path(sys.argv[1]), sys.argv[2], kind="sweep")
except InputError as error:
    print(error)
"""


def small(*points) -> Sweep:
    return Sweep("quick", SETTINGS, CHOSEN, tuple(points or [{"kappa": 7}]))


@pytest.fixture
def held(tmp_path):
    """A folder that another live process is writing to."""
    folder = tmp_path / "held"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield folder, process
    process.kill()
    process.communicate()


# -- claims --------------------------------------------------------------------------------


def test_a_folder_belongs_to_the_plan_that_claimed_it(tmp_path):
    out = tmp_path / "new" / "out"
    claim_folder(out, "plan a\n", kind="sweep")
    claim_folder(out, "plan a\n", kind="sweep")
    assert (out / PLAN).read_text() == "plan a\n"
    with pytest.raises(InputError, match=r"holds another plan \(plan.json differs\)"):
        claim_folder(out, "plan b\n", kind="sweep")
    assert (out / PLAN).read_text() == "plan a\n"


def test_a_folder_of_something_else_is_left_as_it_was(tmp_path):
    (tmp_path / "mine").write_text("x")
    for out in (tmp_path, tmp_path / "mine"):
        with pytest.raises(InputError, match="exists and holds no sweep"):
            claim_folder(out, "plan\n", kind="sweep")
        with pytest.raises(InputError, match="never overwritten"):
            claim_new_folder(out)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_a_lock_that_a_killed_process_left_behind_is_no_content(tmp_path):
    (tmp_path / LOCK).touch()
    claim_new_folder(tmp_path)
    claim_folder(tmp_path, "plan\n", kind="sweep")
    assert (tmp_path / PLAN).read_text() == "plan\n"


@pytest.mark.slow
def test_of_processes_that_claim_one_folder_at_once_one_plan_wins(tmp_path):
    out = tmp_path / "out"

    def other(plan: str) -> str:
        command = [sys.executable, "-c", CLAIM, str(out), plan]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    plans = [f"plan {number}\n" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        errors = dict(zip(plans, pool.map(other, plans), strict=True))
    winner = (out / PLAN).read_text()
    assert errors.pop(winner) == ""
    for error in errors.values():
        assert "holds another plan" in error or "being written by another process" in error
    assert {file.name for file in out.iterdir()} == {PLAN, LOCK}


def test_the_text_of_a_plan_is_as_earlier_versions_wrote_it():
    assert small({"kappa": 7, "mix": [1, 2]}).to_json() == (
        '{\n "chosen": {\n  "allocators": [\n   "uniform",\n   "coba"\n  ],\n  "batch_size": 16,\n'
        '  "seeds": 1,\n  "steps": 2,\n  "total_budget": 64,\n  "weightings": [\n   "rollout"\n'
        '  ]\n },\n "points": [\n  {\n   "kappa": 7,\n   "mix": [\n    1,\n    2\n   ]\n  }\n ],\n'
        ' "preset": "quick",\n "settings": {\n  "num_heldout": 20,\n  "num_prompts": 64\n }\n}\n'
    )


# -- one writer at a time ------------------------------------------------------------------


def test_what_another_process_is_writing_to_is_left_alone(held):
    folder, process = held
    for act in (
        lambda: claim_folder(folder, "plan\n", kind="sweep"),
        lambda: claim(small(), folder),
        lambda: run_sweep(small(), folder, jobs=1),
        lambda: store(folder, "ring", {}, Page("Ring", []), command=""),
    ):
        with pytest.raises(InputError, match=f"{folder} is being written by another process; wait"):
            act()
    assert [file.name for file in folder.iterdir()] == [LOCK]
    process.kill()  # without a chance to clean up
    process.wait(30)
    with writing(folder):
        pass


def test_the_writer_itself_is_not_kept_out(tmp_path):
    with writing(tmp_path):
        claim_folder(tmp_path, "plan\n", kind="sweep")
        with writing(tmp_path):
            pass
        with writing(tmp_path):
            pass
    with writing(tmp_path):
        pass


def test_a_command_says_in_one_line_that_its_folder_is_taken(held):
    folder, _ = held
    command = [sys.executable, "-m", "cobasim", "compare", "--seeds", "1", "--steps", "2"]
    command += ["--allocators", "uniform", "--jobs", "1", "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {folder} is being written by another process; wait until that ends, or choose "
        "another --out\n"
    )


# -- experiments ---------------------------------------------------------------------------


def test_parts_are_run_in_folders_of_their_own_and_resumed(tmp_path):
    parts = {"one": small({"kappa": 7}), "two": small({"kappa": 9}, {"tau": 3})}
    assert num_runs(parts) == 2 + 4
    claim_parts(parts, tmp_path)
    counted = []
    rows = run_parts(parts, tmp_path, jobs=1, on_finished=counted.append)
    assert [row["part"] for row in rows] == ["one"] * 2 + ["two"] * 4
    assert sum(counted) == 6
    claim_parts(parts, tmp_path)
    assert run_parts(parts, tmp_path, jobs=1) == rows
    with pytest.raises(InputError, match="holds another plan"):
        claim_parts({"one": small({"kappa": 8})}, tmp_path)


def test_one_sweep_is_run_in_the_folder_itself(tmp_path):
    claim_parts({"": small()}, tmp_path)
    rows = run_parts({"": small()}, tmp_path, jobs=1)
    assert len(rows) == 2
    assert "part" not in rows[0]
    assert (tmp_path / PLAN).exists()


def test_bad_settings_are_found_before_anything_is_made():
    with pytest.raises(InputError, match=r"at kappa=1: .*kappa must be above 2"):
        num_runs({"good": small(), "bad": small({"kappa": 1})})


def test_numbers_and_page_name_the_command_and_the_versions(tmp_path):
    page = Page("A <title>", [paragraphs(["1 < 2"])], {"seeds": 3})
    files = store(tmp_path / "new", "ring", {"rows": [1]}, page, command="cobasim <x>")
    assert [file.name for file in files] == ["ring.html", "ring.json"]
    numbers = json.loads(files[1].read_text())
    assert numbers["rows"] == [1]
    assert numbers["command"] == "cobasim <x>"
    assert set(numbers["versions"]) == {"cobasim", "numpy", "python"}
    text = files[0].read_text()
    for shown in ("<h1>A &lt;title&gt;</h1>", "<p>1 &lt; 2</p>", "cobasim &lt;x&gt;", "seeds"):
        assert shown in text
