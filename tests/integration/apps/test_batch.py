"""The page of one batch."""

from __future__ import annotations

import time

import numpy as np
import pytest
from synthetic_runs import write_run

pytest.importorskip("streamlit", reason="streamlit is not installed")

from app_pages import errors, figures_of, page, sound
from streamlit.testing.v1 import AppTest


def test_a_slider_changes_the_budgets(folder):
    opened = page("batch", numbers="true", why="true")
    before = opened.dataframe[0].value
    opened.slider(key="batch_kappa").set_value(30.0).run()
    after = sound(opened).dataframe[0].value
    assert (before["sum"] == after["sum"]).all()
    assert before.query("allocator == 'coba'")["max"].item() != (
        after.query("allocator == 'coba'")["max"].item()
    )
    assert figures_of(opened) == 4


@pytest.mark.parametrize(
    ("source", "more"),
    [("beta", ["a", "b"]), ("population", ["behind"])],
)
def test_other_sources_of_pass_rates(folder, source, more):
    opened = page("batch")
    opened.selectbox(key="source").set_value(source).run()
    assert errors(opened) == ""
    assert figures_of(opened) == 2


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("total_512", 100, "total"),
        ("total_512", 400_000, "total"),
        ("low", 200, "low"),
    ],
)
def test_an_infeasible_budget_is_a_message_and_the_rest_stays(folder, field, value, words):
    opened = page("batch")
    opened.number_input(key=field).set_value(value).run()
    assert words in errors(opened)
    opened.number_input(key="low").set_value(2)
    opened.number_input(key="total_512").set_value(8192).run()
    assert errors(opened) == ""
    assert figures_of(opened) == 2


def test_no_allocator_is_a_hint(folder):
    opened = page("batch")
    opened.multiselect(key="allocators").set_value([]).run()
    assert "at least one" in sound(opened).info[0].value


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rates.csv", b"pass_rate\n0.1\n0.5\n1.0\n", ""),
        ("rates.json", b"[0.1, 0.5, 0.9]", ""),
        ("rates.csv", b"rate\n0.1\n", "no column 'pass_rate'"),
        ("rates.csv", b"pass_rate\n0.1\nmuch\n", "line 3: 'much' is not a number"),
        ("rates.json", b"[0.1, 1.5]", "[0, 1]"),
        ("rates.json", b"[0.1, NaN]", "row 2: nan; to leave such rows out"),
        ("rates.json", b"{", "malformed JSON"),
        ("rates.npy", b"no array", ".npy"),
        ("rates.parquet", b"no table", "Parquet"),
        ("empty.csv", b"", "empty"),
    ],
)
def test_uploads(folder, name, content, words):
    opened = page("batch", numbers="true")
    opened.selectbox(key="source").set_value("upload").run()
    opened.selectbox(key="rates_file").set_value("Upload a file").run()
    opened.file_uploader(key="upload").set_value((name, content, "text/plain")).run()
    assert words in errors(opened)
    if words:
        assert name in errors(opened)
        assert opened.selectbox(key="source").value == "upload"
    else:
        assert opened.dataframe[0].value["sum"].tolist() == [48] * 4


def test_an_upload_survives_a_visit_to_another_page(folder):
    script = (
        "import streamlit as st\nfrom cobasim_apps import batch, elements, method\n"
        "chosen = st.radio('page', ['batch', 'method'], key='page')\n"
        "with elements.shown_errors():\n"
        "    (batch if chosen == 'batch' else method).page()\n"
    )
    opened = AppTest.from_string(script, default_timeout=60)
    opened.query_params["numbers"] = "true"
    opened.run()
    opened.selectbox(key="source").set_value("upload").run()
    opened.selectbox(key="rates_file").set_value("Upload a file").run()
    content = b"prompt,solve_rate,n\na,0.5,4\nb,0.25,4\n"
    opened.file_uploader(key="upload").set_value(("mine.csv", content, "text/csv")).run()
    assert "solve_rate" in errors(opened)  # the likely column is named
    opened.text_input(key="upload_column").set_value("solve_rate").run()
    before = opened.dataframe[0].value.drop(columns="time (ms)")
    opened.radio(key="page").set_value("method").run()
    assert "mine.csv" not in " ".join(note.value for note in sound(opened).caption)
    opened.radio(key="page").set_value("batch").run()
    opened.selectbox(key="source").set_value("upload").run()
    opened.selectbox(key="rates_file").set_value("Upload a file").run()
    opened.text_input(key="upload_column").set_value("solve_rate").run()
    assert errors(opened) == ""
    notes = " ".join(note.value for note in opened.caption)
    assert "Using mine.csv, uploaded before." in notes
    assert opened.dataframe[0].value.drop(columns="time (ms)").equals(before)
    opened.button(key="upload_remove").click().run()
    assert "mine.csv" not in " ".join(note.value for note in sound(opened).caption)


def test_the_attempts_of_a_file_reach_the_allocators(folder):
    """signal spreads budgets only where it knows how far a rate can be trusted."""
    opened = page("batch", allocators="signal", numbers="true")
    opened.selectbox(key="source").set_value("upload").run()
    opened.selectbox(key="rates_file").set_value("Upload a file").run()
    rates = "\n".join(f"{k}/16" for k in range(17))
    content = f"pass_rate\n{rates}\n".encode()
    opened.file_uploader(key="upload").set_value(("mine.csv", content, "text/csv")).run()
    table = sound(opened).dataframe[0].value
    assert (table["max"] > table["min"]).all()


def test_a_step_of_a_recorded_run_becomes_a_batch(folder):
    write_run(folder / "mine" / "coba", "coba")
    opened = page("batch", numbers="true")
    opened.selectbox(key="source").set_value("recorded").run()
    assert errors(opened) == ""
    assert opened.dataframe[0].value["sum"].tolist() == [64 * 16] * 3
    assert any("attempts: signal" in note.value for note in opened.caption)


def test_a_batch_of_512_is_redrawn_well_under_a_second(folder):
    opened = page("batch")
    opened.slider(key="batch_tau").set_value(12.0).run()
    times = []
    for tau in np.linspace(2, 40, 5):
        began = time.perf_counter()
        opened.slider(key="batch_tau").set_value(float(round(2 * tau) / 2)).run()
        times.append(time.perf_counter() - began)
    assert sound(opened)
    assert min(times) < 5.0  # a hang, not a figure of speed: that is measured elsewhere
