import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_runs import header, steps_of, write_run

from cobasim.records import (
    PASS_RATE_BINS,
    RunExistsError,
    RunHeader,
    RunWriter,
    StepRecord,
    bin_counts,
    columns,
    find_runs,
    folder_name,
    read_run,
)


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


numbers = st.none() | st.floats()
names = st.text(min_size=1, max_size=8)
counts = st.lists(st.integers(0, 10**6), min_size=13, max_size=13)
records = st.builds(
    StepRecord,
    step=st.integers(0, 10**6),
    rollouts=st.integers(0, 10**12),
    prompts=st.none() | st.integers(0, 10**6),
    alpha=numbers,
    failure_rate=numbers,
    allocate_ms=numbers,
    bins=st.none() | st.fixed_dictionaries(dict.fromkeys(("prompts", "rollouts", "mixed"), counts)),
    learner=st.dictionaries(names, st.floats(), max_size=3),
    evaluation=st.none() | st.fixed_dictionaries({"heldout": numbers, "hard": numbers}),
    extra=st.dictionaries(names.map("x_".__add__), st.integers() | st.text(), max_size=2),
)


def null_if_not_finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(records)
def test_a_record_survives_json_and_what_is_not_finite_becomes_missing(record):
    text = record.to_json()
    strict(text)
    assert "\n" not in text
    back = StepRecord.from_json(text)
    for name in ("step", "rollouts", "prompts", "bins", "extra"):
        assert getattr(back, name) == getattr(record, name)
    for name in ("alpha", "failure_rate", "allocate_ms"):
        assert getattr(back, name) == null_if_not_finite(getattr(record, name))
    for name, value in record.learner.items():
        got = back.learner[name]
        assert got == value if math.isfinite(value) else math.isnan(got)
    if record.evaluation is not None:
        for name, value in record.evaluation.items():
            assert back.evaluation[name] == null_if_not_finite(value)


def test_numpy_values_are_stored_as_plain_numbers():
    record = StepRecord(
        np.int64(3),
        np.int64(9),
        alpha=np.float32(0.5),
        learner={"loss": np.float32("nan"), "grad_norm": np.float64(2.0)},
        evaluation={"heldout": np.float64(0.25), "transitions": np.eye(5, dtype=int)},
    )
    back = StepRecord.from_json(record.to_json())
    assert (back.step, back.alpha, back.learner["grad_norm"]) == (3, 0.5, 2.0)
    assert math.isnan(back.learner["loss"])
    assert back.evaluation["transitions"] == np.eye(5, dtype=int).tolist()


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="step 1 cannot be stored"):
        StepRecord(1, 0, learner={"loss": object()}).to_json()
    with pytest.raises(ValueError, match="header cannot be stored"):
        header(config={"callback": print}).to_json()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40).flatmap(
                lambda n: st.tuples(st.integers(0, max(n, 1)), st.just(max(n, 1)))
            ),
            st.booleans(),
            st.integers(2, 128),
            st.booleans(),
        ),
        min_size=1,
        max_size=50,
    )
)
def test_bins_hold_each_prompt_once_and_where_its_ratio_says(rows):
    ratios, seen, budgets, mixed = zip(*rows, strict=True)
    result = bin_counts([k / n for k, n in ratios], seen, budgets, mixed)
    expected = {name: [0] * 13 for name in ("prompts", "rollouts", "mixed")}
    for (k, n), known, budget, both in rows:
        # exact arithmetic: bin j holds (j - 1) n < 10 k <= j n
        index = 12 if not known else 0 if k == 0 else 11 if k == n else -(-10 * k // n)
        expected["prompts"][index] += 1
        expected["rollouts"][index] += budget
        expected["mixed"][index] += both
    assert result == expected
    assert len(PASS_RATE_BINS) == 13


def test_bins_at_the_edges_and_nan_where_unseen():
    tiny, near = np.nextafter(0, 1), np.nextafter(1, 0)
    result = bin_counts([0, tiny, near, 1, np.nan], [True] * 4 + [False], [2] * 5, [False] * 5)
    assert [i for i, n in enumerate(result["prompts"]) if n] == [0, 1, 10, 11, 12]


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
    strict((run.path / "header.json").read_text())
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


@settings(max_examples=25, deadline=None)
@given(kept=st.integers(-1, 12), cut=st.integers(0, 400))
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path_factory, kept, cut):
    path = tmp_path_factory.mktemp("resume") / "run"
    whole = write_run(path, steps=10)
    file = path / "steps.jsonl"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) - cut])
    survived = read_run(path).steps
    with RunWriter.resume(path, kept) as writer:
        start = read_run(path).steps
        assert start == tuple(s for s in survived if s.step <= kept)
        for record in whole.steps[len(start) :]:
            writer.append(record)
    assert file.read_bytes() == data


def test_resume_keeps_unknown_keys_on_disk_untouched(tmp_path):
    run = write_run(tmp_path / "run", steps=1)
    file = run.path / "steps.jsonl"
    file.write_text('{"step":0,"rollouts":0,"later":[1]}\n{"step":1,"rollouts":4}\n')
    assert read_run(run.path).steps[0].extra == {"later": [1]}
    RunWriter.resume(run.path, 0).close()
    assert file.read_text() == '{"step":0,"rollouts":0,"later":[1]}\n'


def test_an_existing_directory_is_never_written_into(tmp_path):
    (tmp_path / "empty").mkdir()
    RunWriter(tmp_path / "empty", header()).close()
    before = sorted((tmp_path / "empty").iterdir())
    with pytest.raises(RunExistsError, match=r"not empty; name a new directory"):
        RunWriter(tmp_path / "empty", header())
    assert sorted((tmp_path / "empty").iterdir()) == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunExistsError, match="is a file"):
        RunWriter(tmp_path / "file", header())


def test_steps_must_increase_also_after_resume(tmp_path):
    with RunWriter(tmp_path / "run", header()) as writer:
        writer.append(StepRecord(4, 0))
        with pytest.raises(ValueError, match="step 4 was given after step 4"):
            writer.append(StepRecord(4, 0))
    with pytest.raises(ValueError, match="closed"):
        writer.append(StepRecord(5, 0))
    with (
        RunWriter.resume(tmp_path / "run", 9) as writer,
        pytest.raises(ValueError, match="after step 4"),
    ):
        writer.append(StepRecord(3, 0))


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


def test_a_full_disk_is_an_oserror_with_the_path_and_leaves_whole_lines(tmp_path, monkeypatch):
    with RunWriter(tmp_path / "run", header()) as writer:
        writer.append(StepRecord(0, 0))
        real = os.write

        with monkeypatch.context() as patch:  # the disk takes ten more bytes
            patch.setattr(os, "write", lambda file, data: real(file, data[:10]))
            with pytest.raises(OSError, match=r"steps\.jsonl") as caught:
                writer.append(StepRecord(1, 0))
        assert caught.value.errno == errno.ENOSPC

        def full(file, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(OSError, match=r"steps\.jsonl"):
                writer.append(StepRecord(1, 0))
        assert (tmp_path / "run" / "steps.jsonl").read_bytes().count(b"\n") == 1
        writer.append(StepRecord(1, 0))  # space again: nothing was lost
    assert [step.step for step in read_run(tmp_path / "run").steps] == [0, 1]


def test_a_run_that_cannot_be_started_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"header\.json"):
        RunWriter(tmp_path / "run", header())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_writer_leaves_a_readable_run(tmp_path):
    program = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from synthetic_runs import header, steps_of\n"
        "from cobasim.records import RunWriter\n"
        "writer = RunWriter(sys.argv[1], header())\n"
        "for record in steps_of('uniform', 0, 10**6): writer.append(record)\n"
    )
    path = tmp_path / "run"
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": str(here.parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path), str(here)], env=environment
    )
    try:
        deadline = time.monotonic() + 60
        seen = 0
        while seen < 50:
            assert time.monotonic() < deadline
            assert process.poll() is None
            if (path / "steps.jsonl").exists():
                seen = len(read_run(path).steps)  # readable while the run goes on
    finally:
        process.kill()
        process.wait()
    run = read_run(path)
    assert len(run.steps) >= seen
    assert run.steps == tuple(
        record for record, _ in zip(steps_of("uniform", 0, 10**6), run.steps, strict=False)
    )


def test_the_documented_example_runs(tmp_path, monkeypatch):
    page = (Path(__file__).parent.parent / "docs" / "records.md").read_text()
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "records.md", "exec"), {})
    assert [step.step for step in read_run(tmp_path / "my-run").steps] == [0, 1, 2]


# -- names of folders -----------------------------------------------------------------------


@given(st.lists(st.text(min_size=1, max_size=200), min_size=2, max_size=2, unique=True))
def test_names_of_folders_are_safe_and_different(names):
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == 2
    for folder in folders:
        assert re.fullmatch(r"[A-Za-z0-9_.%-]{1,120}", folder)
        assert folder not in (".", "..")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("oracle-coba", "oracle-coba"),
        ("my.pkg:Cls", "my.pkg%3ACls"),
        ("learned:../a.json", "learned%3A..%2Fa.json"),
        ("..", "%2E%2E"),
    ],
)
def test_known_names_stay_and_paths_make_no_folders(name, folder):
    assert folder_name(name) == folder


def test_names_of_earlier_versions_are_read():
    line = (
        '{"step": 3, "rollouts": 96, "effective_ratio": 0.25, '
        '"learner": {"grad_norm": 1.5, "rounds": 2, "trained_rollouts": 64}}'
    )
    record = StepRecord.from_json(line)
    assert (record.mixed_share, record.rounds, record.trained_rollouts) == (0.25, 2, 64)
    assert record.learner == {"grad_norm": 1.5}
    assert record.extra == {}
    again = StepRecord.from_json(record.to_json())
    assert again == record
    assert "effective_ratio" not in record.to_json()


def test_a_present_name_wins_over_an_old_one():
    both = '{"step": 1, "rollouts": 8, "effective_ratio": 0.25, "mixed_share": 0.5}'
    assert StepRecord.from_json(both).mixed_share == 0.5
