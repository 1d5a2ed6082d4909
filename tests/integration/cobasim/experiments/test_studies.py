"""Studies: each answers with finite numbers, and goes on where it stopped."""

from __future__ import annotations

import json
import math

import pytest
from best_budgets import study_options

from cobasim import runs as sweeps
from cobasim.experiments.studies import (
    NUMBERS,
    REPORT,
    SIZES,
    STUDIES,
    TEXT_REPORT,
    Options,
    claim,
    run_study,
    store,
)

TINY = Options("tiny")


def finite(content) -> bool:
    """Whether every number anywhere is finite."""
    if isinstance(content, dict):
        return all(finite(value) for value in content.values())
    if isinstance(content, list):
        return all(finite(value) for value in content)
    return not isinstance(content, float) or math.isfinite(content)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_answers_with_finite_numbers(name, tmp_path):
    study = STUDIES.find(name)
    options = study_options(study, tmp_path)
    tmp_path = tmp_path / "out"
    planned = claim(study, options, tmp_path)
    rows, answer = run_study(study, options, tmp_path, planned, jobs=1)
    files = store(study, options, tmp_path, planned, answer, command="cobasim study <x>")
    assert [file.name for file in files] == [REPORT, NUMBERS, TEXT_REPORT]
    assert rows
    assert answer.conclusion
    assert answer.figures
    content = json.loads((tmp_path / NUMBERS).read_text())
    assert content["numbers"]
    assert finite(content["numbers"])
    assert content["command"] == "cobasim study <x>"
    assert content["seeds"] == SIZES["tiny"].seeds
    assert set(content["versions"]) == {"cobasim", "numpy", "python"}
    text, page = (tmp_path / TEXT_REPORT).read_text(), (tmp_path / REPORT).read_text()
    for line in answer.conclusion:
        assert line in " ".join(text.replace("\n  - ", " ").split("\n"))
        assert any(character.isdigit() for character in line)
        assert "nan" not in line.lower().split()
    assert "cobasim study &lt;x&gt;" in page
    assert page.count("plotly.js v") == 1
    for table in answer.tables:
        assert {len(row) for row in table.rows} <= {len(table.columns)}
    for one in planned.values():  # both worlds (but for a quick map) and both weightings
        assert set(one.chosen["weightings"]) == {"rollout", "prompt"}


def test_a_resumed_study_ends_as_an_uninterrupted_one(tmp_path):
    study = STUDIES.find("regime")

    def run(folder):
        planned = claim(study, TINY, folder)
        return run_study(study, TINY, folder, planned, jobs=1)[1]

    whole = run(tmp_path / "whole")
    run(tmp_path / "half")
    rows = sorted((tmp_path / "half" / "regime" / sweeps.ROWS).iterdir())
    for file in rows[::2]:
        file.unlink()
    (tmp_path / "half" / "regime" / sweeps.TABLE).unlink()
    assert run(tmp_path / "half").conclusion == whole.conclusion
