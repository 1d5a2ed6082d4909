"""The page that simulates."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("streamlit", reason="streamlit is not installed")

from app_pages import errors, page, sound


def test_a_simulation_runs_to_its_end_and_is_saved(folder):
    opened = page("simulation")
    for key, value in (("steps", 20), ("seeds", 2), ("num", 512), ("batch", 32), ("budget", 256)):
        opened.number_input(key=key).set_value(value)
    opened.run()
    assert "--steps 20" in sound(opened).code[0].value
    opened.button(key="start").click().run()
    deadline = time.monotonic() + 90
    while opened.get("progress") and "running" in str(opened.get("progress")[0].proto):
        assert time.monotonic() < deadline
        time.sleep(0.5)
        opened.run()
    assert errors(opened) == ""
    table = opened.dataframe[0].value
    assert len(table) == 6
    opened.text_input(key="name").set_value("../escape")
    opened.button[-1].click().run()
    assert "plain folder name" in errors(opened)
    opened.text_input(key="name").set_value("kept")
    opened.button[-1].click().run()
    assert errors(opened) == ""
    assert len(list((folder / "kept").rglob("header.json"))) == 12
    assert not (folder.parent / "escape").exists()


def test_a_large_simulation_is_refused_with_its_command(folder):
    opened = page("simulation")
    for key, value in (("steps", 1000), ("seeds", 16), ("batch", 2048), ("budget", 16384)):
        opened.number_input(key=key).set_value(value)
    opened.number_input(key="num").set_value(4096).run()
    assert opened.button(key="start").disabled
    assert "Too large" in sound(opened).warning[0].value
    opened.number_input(key="budget").set_value(8).run()
    assert "total" in errors(opened)
