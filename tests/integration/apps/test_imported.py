"""Imported runs on the pages of the app."""

from __future__ import annotations

import pytest
from trainer_logs import write_trl, write_validation, write_verl

pytest.importorskip("streamlit", reason="streamlit is not installed")

from app_pages import errors, figures_of, page, sound

from cobasim.importing import ImportOptions, import_log


@pytest.fixture
def imported(folder, tmp_path):
    """The app's folder with two imported runs: one with evaluations, one without."""
    validation = write_validation(tmp_path / "validation", [0, 3, 6])
    options = ImportOptions(validation=str(validation), model="tiny")
    import_log("verl", write_verl(tmp_path / "verl"), folder / "verl", options)
    import_log("trl", write_trl(tmp_path / "trl"), folder / "trl")
    return folder


def test_imported_runs_are_listed_and_opened(imported):
    opened = page("runs")
    table = sound(opened).dataframe[0].value.set_index("run")
    assert table["source"].tolist() == ["import", "import"]
    assert table["state"].tolist() == ["finished", "finished"]
    assert table["held-out (%)"].notna().to_dict() == {"trl": False, "verl": True}
    opened.multiselect(key="open").set_value(["trl", "verl"]).run()
    assert errors(opened) == ""
    assert figures_of(opened) >= 6
    shown = opened.dataframe[1].value  # the last rollouts
    assert shown["step"].iloc[0] == 6


def test_a_run_without_evaluations_is_opened_alone(imported):
    opened = page("runs")
    opened.multiselect(key="open").set_value(["trl"]).run()
    assert errors(opened) == ""
    assert figures_of(opened) >= 5


def test_a_step_of_an_imported_run_is_a_batch(imported):
    opened = page("batch", source="A step of a recorded run", recorded="verl")
    assert errors(opened) == ""
    assert figures_of(opened) >= 1
