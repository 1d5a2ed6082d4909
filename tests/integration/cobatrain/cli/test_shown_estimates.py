"""The table at the end of a run: estimates against the truth, where it was computed."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.records import StepRecord
from cobatrain.cli.train import _Progress
from cobatrain.config import load_config


def table_of(tmp_path, capsys, **scores):
    progress = _Progress(load_config("tiny"))
    for step in (0, 4):
        progress.show(StepRecord(step, 192 * step, evaluation={"heldout": 0.5} | scores))
    progress.summarise(tmp_path)
    return " ".join(capsys.readouterr().out.split())


def test_the_error_of_estimates_is_shown_in_points_where_it_is_known(tmp_path, capsys):
    shown = table_of(tmp_path, capsys, estimate_error=0.1234)
    assert "points" in shown
    assert shown.count("12.3") == 2
    assert "points" not in table_of(tmp_path, capsys)
