"""Every page of the app opens, and takes no code from its address."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("streamlit", reason="streamlit is not installed")

from app_pages import errors, page


@pytest.mark.parametrize(
    "name", ["my_case", "batch", "simulation", "sensitivity", "runs", "method"]
)
def test_every_page_opens_without_a_message_of_failure(folder, name):
    assert errors(page(name)) == ""


HALF = """
from dataclasses import dataclass
from cobasim.allocation.methods import Uniform

@dataclass(frozen=True, kw_only=True)
class Half(Uniform):
    "An allocator from outside."
"""


def test_an_allocator_named_at_the_start_is_offered_on_every_page(folder, tmp_path, monkeypatch):
    (tmp_path / "own_half.py").write_text(HALF)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--allocator=own_half:Half"])
    opened = page("batch", allocators="own_half:Half", numbers="true")
    assert errors(opened) == ""
    assert opened.dataframe[0].value["allocator"].tolist() == ["own_half:Half"]
    for name, key in (("simulation", "sim_allocators"), ("sensitivity", "sweep_allocators")):
        other = page(name)
        assert "own_half:Half" in other.multiselect(key=key).options
        assert errors(other) == ""


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("batch", "allocators"),
        ("simulation", "sim_allocators"),
        ("sensitivity", "sweep_allocators"),
    ],
)
def test_an_address_cannot_name_code_to_be_imported(folder, tmp_path, monkeypatch, name, key):
    trap = tmp_path / "address_trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n" + HALF)
    monkeypatch.syspath_prepend(tmp_path)
    opened = page(name, **{key: "address_trap:Half"})
    assert errors(opened) == ""
    assert "address_trap:Half" not in opened.multiselect(key=key).value
    assert not (tmp_path / "sprung").exists()
    assert "address_trap" not in sys.modules


def test_the_server_takes_uploads_as_large_as_any_widget_says():
    from cobasim.cli import explore
    from cobasim_apps import case_source, measured_world, pass_rates

    widgets = (case_source.MOST_MIB, measured_world.MOST_MIB, pass_rates.MOST_MIB)
    assert max(widgets) == explore.MOST_MIB
