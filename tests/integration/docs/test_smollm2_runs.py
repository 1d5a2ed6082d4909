"""The pretrained model's runs: the table of their page follows from the archive."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import script

pytest.importorskip("yaml", reason="pyyaml is not installed")

FOLDER = Path(__file__).parents[3] / "docs" / "real" / "smollm2"


@pytest.fixture(scope="module")
def runs():
    return script(FOLDER / "runs.py")


def test_the_table_is_that_of_the_archive(runs):
    kept = runs.kept()
    assert {runs.key(run)[:2] for run in kept} >= {("rollout", "uniform"), ("rollout", "coba")}
    ahead = runs.foretold(FOLDER / "predicted-both.json")
    page = (FOLDER / "README.md").read_text()
    for line in runs.table(runs.for_both(kept), ahead):
        assert line in page


def test_runs_differ_in_allocator_weighting_and_seed_only(runs):
    configs = [dict(run.header.config) for run in runs.kept()]
    for config in configs:
        for name in ("allocator", "weighting", "seed"):
            config.pop(name, None)
    assert all(config == configs[0] for config in configs)


def test_an_archive_grows_and_keeps_what_it_has(runs, tmp_path, monkeypatch, capsys):
    """Finished runs are added once; those that are there already stay as they are."""
    monkeypatch.setattr(runs, "ARCHIVE", tmp_path / "runs.jsonl.gz")
    (tmp_path / "compare").mkdir()
    first = runs.read_archive(FOLDER / "runs.jsonl.gz")
    runs.write_archive(runs.ARCHIVE, first[:2])
    monkeypatch.setattr(runs, "whole", lambda folder: first[1:4])
    runs.archive(tmp_path / "compare")
    assert [runs.key(run) for run in runs.kept()] == sorted(runs.key(run) for run in first[:4])
    assert "4 runs" in capsys.readouterr().out
