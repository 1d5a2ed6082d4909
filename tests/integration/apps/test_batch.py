"""The app without a browser: every page, every message of bad input."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from synthetic_runs import write_run

pytest.importorskip("streamlit", reason="streamlit is not installed")

from streamlit.testing.v1 import AppTest

from cobasim.runs import Parameter, Sweep, claim, points, run_sweep

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that the app was started with."""
    runs = tmp_path / "runs"
    runs.mkdir()
    monkeypatch.setattr(sys, "argv", ["explorer.py", "--runs", str(runs)])
    return runs


def page(name: str, **query) -> AppTest:
    script = f"from cobasim_apps import elements, {name}\nwith elements.shown_errors():\n"
    opened = AppTest.from_string(script + f"    {name}.page()\n", default_timeout=60)
    for key, value in query.items():
        opened.query_params[key] = value
    return opened.run()


def sound(opened: AppTest) -> AppTest:
    assert not opened.exception, opened.exception[0].value
    return opened


def errors(opened: AppTest) -> str:
    return " ".join(error.value.replace("\\", "") for error in sound(opened).error)


def figures_of(opened: AppTest) -> int:
    return len(opened.get("plotly_chart"))


@pytest.mark.parametrize("name", ["batch", "simulation", "sensitivity", "runs", "method"])
def test_every_page_opens_without_a_message_of_failure(folder, name):
    assert errors(page(name)) == ""


def test_a_slider_changes_the_budgets(folder):
    opened = page("batch")
    before = opened.dataframe[0].value
    opened.slider(key="batch_kappa").set_value(30.0).run()
    after = sound(opened).dataframe[0].value
    assert (before["sum"] == after["sum"]).all()
    assert before.query("allocator == 'coba'")["max"].item() != (
        after.query("allocator == 'coba'")["max"].item()
    )
    assert figures_of(opened) == 4


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
    opened = page("batch", allocators="own_half:Half")
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


@pytest.mark.parametrize(
    ("source", "more"),
    [("beta", ["a", "b"]), ("population", ["behind"])],
)
def test_other_sources_of_pass_rates(folder, source, more):
    opened = page("batch")
    opened.selectbox(key="source").set_value(source).run()
    assert errors(opened) == ""
    assert figures_of(opened) == 4


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
    assert figures_of(opened) == 4


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
        ("rates.csv", b"pass_rate\n0.1\nmuch\n", "row"),
        ("rates.json", b"[0.1, 1.5]", "[0, 1]"),
        ("rates.json", b"[0.1, NaN]", "[0, 1]"),
        ("rates.json", b"{", "malformed JSON"),
        ("rates.npy", b"no array", ".npy"),
        ("rates.parquet", b"no table", "Parquet"),
        ("empty.csv", b"", "empty"),
    ],
)
def test_uploads(folder, name, content, words):
    opened = page("batch")
    opened.selectbox(key="source").set_value("upload").run()
    opened.file_uploader(key="upload").set_value((name, content, "text/plain")).run()
    assert words in errors(opened)
    if words:
        assert name in errors(opened)
        assert opened.selectbox(key="source").value == "upload"
    else:
        assert opened.dataframe[0].value["sum"].tolist() == [48, 48, 48]


def test_a_step_of_a_recorded_run_becomes_a_batch(folder):
    write_run(folder / "mine" / "coba", "coba")
    opened = page("batch")
    opened.selectbox(key="source").set_value("recorded").run()
    assert errors(opened) == ""
    assert opened.dataframe[0].value["sum"].tolist() == [64 * 16] * 3


def test_runs_are_listed_laid_over_each_other_and_foreign_ones_are_named(folder):
    write_run(folder / "a" / "uniform", "uniform")
    write_run(folder / "a" / "coba", "coba")
    cut = folder / "cut"
    write_run(cut, "knapsack")
    whole = (cut / "steps.jsonl").read_bytes()
    (cut / "steps.jsonl").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "foreign").mkdir()
    (folder / "foreign" / "header.json").write_text('{"hello": 1}')
    (folder / "headless").mkdir()
    (folder / "headless" / "steps.jsonl").write_text("{}\n")
    broken = folder / "broken"
    write_run(broken, "coba")
    (broken / "steps.jsonl").write_text("no json\n")
    opened = page("runs")
    table = sound(opened).dataframe[0].value
    assert len(table) == 6
    assert sorted(table[table["problem"] != ""]["run"]) == ["broken", "foreign", "headless"]
    named = " ".join(item.value.replace("\\", "") for item in opened.warning)
    assert all(name in named for name in ("broken", "foreign", "headless"))
    assert opened.multiselect(key="open").options == ["a/coba", "a/uniform", "cut"]
    opened.multiselect(key="open").set_value(["a/coba", "a/uniform", "cut"]).run()
    assert errors(opened) == ""
    assert figures_of(opened) >= 5


def test_samples_are_plain_text(folder):
    write_run(folder / "real", "coba")
    line = '{"step": 1, "prompt": "<b>1+1</b>=", "response": "![x](http://e.org/x)", "reward": 0}\n'
    (folder / "real" / "samples.jsonl").write_text(line + '{"step": 2, "pro')
    opened = page("runs")
    opened.multiselect(key="open").set_value(["real"]).run()
    assert errors(opened) == ""
    shown = opened.dataframe[1].value
    assert shown["response"].tolist() == ["![x](http://e.org/x)"]
    assert "example" not in " ".join(item.value for item in opened.markdown)


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


def test_a_finished_sweep_is_drawn(folder):
    parameters = [Parameter.parse("tau=2,32"), Parameter.parse("kappa=7,11")]
    chosen = {
        "allocators": ("uniform", "coba"), "weightings": ("rollout",), "seeds": 2, "steps": 4,
        "batch_size": 32, "total_budget": 256,
    }  # fmt: skip
    sweep = Sweep("quick", {"num_prompts": 300}, chosen, tuple(points(parameters)))
    claim(sweep, folder / "sweep")
    run_sweep(sweep, folder / "sweep", jobs=1)
    opened = page("sensitivity", show="Finished sweep")
    assert errors(opened) == ""
    assert figures_of(opened) == 2  # a line, and a heatmap of coba
    assert len(opened.dataframe[0].value) == 2


def test_a_bad_range_is_a_message(folder):
    opened = page("sensitivity")
    opened.text_input(key="values_tau").set_value("9:1").run()
    assert "empty" in errors(opened)


def test_paths_come_from_the_apps_folder_only(folder):
    (folder.parent / "secret").mkdir()
    write_run(folder.parent / "secret" / "run", "coba")
    opened = page("runs", open="../secret/run")
    assert figures_of(sound(opened)) == 0


def test_the_wheel_has_every_package_and_no_generic_name():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("cobasim", "cobatrain", "apps")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert {name.replace("apps", "cobasim_apps", 1) if name.startswith("apps") else name
            for name in found} == set(listed)  # fmt: skip


def test_streamlit_is_imported_by_the_app_alone():
    for top in ("cobasim", "cobatrain"):
        for file in (ROOT / top).rglob("*.py"):
            assert "import streamlit" not in file.read_text(), file


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run", "nowhere"], "nowhere"),
        (["--port", "0"], "port"),
        (["--address", "no.such.host.invalid"], "cannot listen"),
    ],
)
def test_explore_refuses_what_cannot_be(arguments, words):
    done = subprocess.run(
        [sys.executable, "-m", "cobasim", "explore", "--no-browser", *arguments],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert words in done.stderr


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
