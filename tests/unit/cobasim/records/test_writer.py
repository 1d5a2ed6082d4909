"""The writer of a run: resumption, order, and disks that are full."""

import errno
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_runs import header, write_run

from cobasim.records import RunExistsError, RunWriter, StepRecord, read_run


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
