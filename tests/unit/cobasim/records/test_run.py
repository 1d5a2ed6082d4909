"""A run's folder is read as it was written; what is damaged is named."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from synthetic_runs import header, steps_of, strict_json, write_run

from cobasim.records import RunHeader, RunWriter, columns, find_runs, read_run


def test_a_run_is_read_as_it_was_written(tmp_path):
    head = header("coba", 3, "prompt", config={"steps": 7, "bounds": (2, 128)})
    written = list(steps_of("coba", 3, 7))
    with RunWriter(tmp_path / "a" / "run", head) as writer:
        for record in written:
            writer.append(record)
    run = read_run(tmp_path / "a" / "run")
    assert run.steps == tuple(written)
    assert run.header == replace(head, config={"steps": 7, "bounds": [2, 128]})
    assert find_runs(tmp_path) == [run.path]
    strict_json((run.path / "header.json").read_text())
    assert {"cobasim", "numpy", "python"} <= run.header.versions.keys()


def test_every_cut_of_the_file_reads_as_its_whole_lines(tmp_path):
    run = write_run(tmp_path / "run", steps=3)
    file = run.path / "steps.jsonl"
    data = file.read_bytes()
    for length in range(0, len(data) + 1, 7):
        file.write_bytes(data[:length])
        assert read_run(run.path).steps == run.steps[: data[:length].count(b"\n")]


def test_a_run_without_steps_is_empty_not_broken(tmp_path):
    RunWriter(tmp_path / "run", header()).close()
    assert read_run(tmp_path / "run").steps == ()
    (tmp_path / "run" / "steps.jsonl").unlink()
    assert read_run(tmp_path / "run").steps == ()


LINES = {
    "not json": "expected|Expecting",
    "[1]": "expected a JSON object",
    '{"rollouts":0}': "'step' is None",
    '{"step":true,"rollouts":0}': "'step' is True",
    '{"step":5,"rollouts":-1}': "'rollouts' is -1",
    '{"step":5,"rollouts":0,"alpha":"high"}': "'alpha' is 'high'",
    '{"step":5,"rollouts":0,"bins":{"prompts":[1]}}': "expected 13 integers",
    '{"step":5,"rollouts":0,"learner":[]}': "'learner' is",
    '{"step":5,"rollouts":0,"learner":{"loss":"low"}}': "'loss' is 'low'",
    '{"step":5,"rollouts":0,"evaluation":3}': "'evaluation' is 3",
    '{"step":5,"rollouts":0,"evaluation":{"hard":"x"}}': "'hard' is 'x'",
    '{"step":5,"rollouts":0,"evaluation":{"transitions":[[1]]}}': "5 x 5",
    '{"step":0,"rollouts":0}': "step 0 follows step 1",
    "": "line 3",
}


@pytest.mark.parametrize("line", LINES)
def test_a_malformed_line_is_named_with_its_number(tmp_path, line):
    run = write_run(tmp_path / "run", steps=1)
    with open(run.path / "steps.jsonl", "a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=rf"steps\.jsonl, line 3.*({LINES[line]}|$)") as caught:
        read_run(run.path)
    assert re.search(LINES[line], str(caught.value))
    assert "\n" not in str(caught.value)


def test_folders_that_are_no_runs_are_refused_with_one_clear_line(tmp_path):
    for path, message in ((tmp_path, r"has no header\.json"), (tmp_path / "no", "not a directory")):
        with pytest.raises(ValueError, match=message):
            read_run(path)
    with pytest.raises(ValueError, match="not a directory"):
        find_runs(tmp_path / "no")
    with pytest.raises(ValueError, match=r"has no header\.json"):
        RunWriter.resume(tmp_path, 0)
    good = json.loads(header().to_json())
    for content, message in (
        ("{", "not valid JSON"),
        ("[]", "not a run header"),
        ('{"name": "a web page"}', "not a run header"),
        (json.dumps(good | {"format": 99}), "format 99 is not known, expected 1"),
        (json.dumps(good | {"seed": "0"}), "'seed' is '0', expected int"),
        (json.dumps(good | {"allocator": None}), "'allocator' is None"),
    ):
        (tmp_path / "header.json").write_text(content)
        with pytest.raises(ValueError, match=message):
            read_run(tmp_path)


def test_later_headers_with_more_keys_can_be_read():
    text = json.dumps(json.loads(header().to_json()) | {"host": "x"})
    assert RunHeader.from_json(text).allocator == "uniform"


def test_prompts_that_were_left_out_are_in_the_header_only_if_there_are_any():
    assert "left_out" not in json.loads(header().to_json())
    gone = [{"reason": "too long", "prompts": {"train": 2}, "first": ["'a' (line 2): 9 tokens"]}]
    kept = replace(header(), left_out=gone)
    assert RunHeader.from_json(kept.to_json()) == kept


def test_columns_have_nan_where_nothing_was_measured(tmp_path):
    run = write_run(tmp_path / "run", "coba", steps=20)
    table = columns(run)
    assert {len(column) for column in table.values()} == {21}
    assert table["step"].tolist() == list(range(21))
    assert np.isnan(table["alpha"][0])
    assert np.isfinite(table["alpha"][1:]).all()
    assert np.isfinite(table["evaluation.heldout"]).nonzero()[0].tolist() == [0, 10, 20]
    assert table["learner.grad_norm"][5] == run.steps[5].learner["grad_norm"]
    assert "evaluation.transitions" not in table
