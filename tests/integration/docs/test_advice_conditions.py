"""What `cobasim advise` knows of real runs: the rows that ship, and the tables of its page."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
from documents import script

pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.experiments import advice

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "real" / "measured"


@pytest.fixture
def conditions(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    module = script(FOLDER / "advice.py")
    module.conditions.archived = functools.cache(module.conditions.archived)
    return module


def test_the_rows_that_ship_are_those_of_the_archives(conditions):
    rows = json.loads(conditions.KNOWN.read_text())
    drawn = [row for row in rows if row["kind"] != "measured"]
    predictions = [{k: v for k, v in row.items() if k not in ("real", "half")} for row in drawn]
    assert json.loads(conditions.known(predictions)) == rows


def test_the_tables_of_the_page_follow_from_these_rows(conditions):
    page = (ROOT / "docs" / "advise.md").read_text()
    lines = conditions.coverage()
    assert len(lines) > 3 * 5
    assert len(lines) > len(advice.known()) / 10
    for line in lines:
        assert line in page
