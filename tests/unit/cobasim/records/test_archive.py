"""An archive gives back the runs that were written; the same runs are the same bytes."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from repository import ROOT
from synthetic_runs import write_run

from cobasim.errors import InputError
from cobasim.records import Run, read_archive, read_runs, write_archive


def contents(runs: list[Run]) -> list[tuple]:
    return [(run.header, run.steps) for run in runs]


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    return [write_run(tmp_path / name, steps=n) for name, n in (("a", 3), ("b", 2), ("c", 1))]


def test_an_archive_gives_back_the_runs(tmp_path, runs):
    write_archive(tmp_path / "one.jsonl.gz", runs)
    assert contents(read_archive(tmp_path / "one.jsonl.gz")) == contents(runs)
    assert contents(read_runs([tmp_path / "one.jsonl.gz"])) == contents(runs)
    write_archive(tmp_path / "two.jsonl.gz", read_archive(tmp_path / "one.jsonl.gz"))
    files = [tmp_path / name for name in ("one.jsonl.gz", "two.jsonl.gz")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    "file", ["docs/real/measured/base.jsonl.gz", "examples/comparison.jsonl.gz"]
)
def test_archives_that_ship_are_written_again_without_loss(tmp_path, file):
    shipped = read_archive(ROOT / file)
    write_archive(tmp_path / "again.jsonl.gz", shipped)
    assert contents(read_archive(tmp_path / "again.jsonl.gz")) == contents(shipped)


def test_a_failure_leaves_the_old_archive(tmp_path, runs):
    file = tmp_path / "one.jsonl.gz"
    write_archive(file, runs)
    before = file.read_bytes()

    def broken():
        yield runs[0]
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        write_archive(file, broken())
    assert file.read_bytes() == before
    assert not list(tmp_path.glob(".*tmp"))


def test_a_damaged_archive_is_refused(tmp_path, runs):
    file = tmp_path / "one.jsonl.gz"
    write_archive(file, runs)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputError, match="cannot be read"):
        read_archive(file)
    file.write_bytes(gzip.compress(b'{"steps": []}\n'))
    with pytest.raises(InputError, match="header"):
        read_archive(file)
