"""A folder belongs to one plan and has one writer."""

from __future__ import annotations

import pytest
from small_sweeps import tiny_sweep

from cobasim.errors import InputError
from cobasim.files import LOCK, writing
from cobasim.runs import PLAN, claim_folder


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
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_a_lock_that_a_killed_process_left_behind_is_no_content(tmp_path):
    (tmp_path / LOCK).touch()
    claim_folder(tmp_path, "plan\n", kind="sweep")
    assert (tmp_path / PLAN).read_text() == "plan\n"


def test_the_text_of_a_plan_is_as_earlier_versions_wrote_it():
    assert tiny_sweep({"kappa": 7, "mix": [1, 2]}).to_json() == (
        '{\n "chosen": {\n  "allocators": [\n   "uniform",\n   "coba"\n  ],\n  "batch_size": 16,\n'
        '  "seeds": 1,\n  "steps": 2,\n  "total_budget": 64,\n  "weightings": [\n   "rollout"\n'
        '  ]\n },\n "points": [\n  {\n   "kappa": 7,\n   "mix": [\n    1,\n    2\n   ]\n  }\n ],\n'
        ' "preset": "quick",\n "settings": {\n  "num_heldout": 20,\n  "num_prompts": 64\n }\n}\n'
    )


def test_the_writer_itself_is_not_kept_out(tmp_path):
    with writing(tmp_path):
        claim_folder(tmp_path, "plan\n", kind="sweep")
        with writing(tmp_path):
            pass
        with writing(tmp_path):
            pass
    with writing(tmp_path):
        pass
