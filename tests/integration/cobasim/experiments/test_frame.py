"""What every experiment leaves behind: parts in folders, numbers, a page."""

from __future__ import annotations

import json

import pytest
from small_sweeps import tiny_sweep

from cobasim.errors import InputError
from cobasim.experiments import Page, claim_parts, num_runs, paragraphs, run_parts, store
from cobasim.runs import PLAN


def test_parts_are_run_in_folders_of_their_own_and_resumed(tmp_path):
    parts = {"one": tiny_sweep({"kappa": 7}), "two": tiny_sweep({"kappa": 9}, {"tau": 3})}
    assert num_runs(parts) == 2 + 4
    claim_parts(parts, tmp_path)
    counted = []
    rows = run_parts(parts, tmp_path, jobs=1, on_finished=counted.append)
    assert [row["part"] for row in rows] == ["one"] * 2 + ["two"] * 4
    assert sum(counted) == 6
    claim_parts(parts, tmp_path)
    assert run_parts(parts, tmp_path, jobs=1) == rows
    with pytest.raises(InputError, match="holds another plan"):
        claim_parts({"one": tiny_sweep({"kappa": 8})}, tmp_path)


def test_one_sweep_is_run_in_the_folder_itself(tmp_path):
    claim_parts({"": tiny_sweep()}, tmp_path)
    rows = run_parts({"": tiny_sweep()}, tmp_path, jobs=1)
    assert len(rows) == 2
    assert "part" not in rows[0]
    assert (tmp_path / PLAN).exists()


def test_bad_settings_are_found_before_anything_is_made():
    with pytest.raises(InputError, match=r"at kappa=1: .*kappa must be above 2"):
        num_runs({"good": tiny_sweep(), "bad": tiny_sweep({"kappa": 1})})


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
