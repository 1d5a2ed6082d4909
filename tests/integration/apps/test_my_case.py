"""The first page: it answers for the example, and says when an answer is of other settings."""

from __future__ import annotations

import pytest

pytest.importorskip("streamlit", reason="streamlit is not installed")

from app_pages import errors, figures_of, page
from trainer_logs import write_trl, write_verl

from cobasim.errors import InputError
from cobasim.experiments import advice
from cobasim.explorer import keep_log, uniform_runs
from cobasim.importing import ImportOptions, import_log
from cobasim.records import read_run

SMALL = advice.Effort(tried=4, kept=2, seeds=1)


def test_the_answer_is_that_of_the_command_and_goes_stale_with_the_settings(folder, monkeypatch):
    monkeypatch.setattr(advice, "Effort", lambda: SMALL)
    opened = page("my_case", case_M="16", case_B="128", case_visits="0.1")
    assert errors(opened) == ""
    assert figures_of(opened) == 0
    opened.button(key="case_ask").click().run()
    assert errors(opened) == ""
    assert figures_of(opened) == 1
    assert opened.subheader[0].value.startswith(("Use ", "Stay with uniform budgets"))
    assert not opened.warning
    command = opened.code[-1].value
    assert "--batch-size 16 --total-budget 128 --visits 0.1" in command
    opened.number_input(key="case_B").set_value(160).run()
    assert "have changed since" in opened.warning[0].value
    assert opened.code[-1].value == command
    opened.number_input(key="case_B").set_value(8).run()
    assert "128 rollouts" in errors(opened) or "total" in errors(opened)


def test_a_uniform_run_is_chosen_and_its_sizes_are_the_defaults(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(advice, "Effort", lambda: SMALL)
    import_log("verl", write_verl(tmp_path / "log", steps=12), folder / "mine")
    import_log("verl", write_verl(tmp_path / "log", steps=12), folder / "other",
               ImportOptions(allocator="coba"))  # fmt: skip
    assert list(uniform_runs(folder)) == ["mine"]
    opened = page("my_case", case_have="A uniform run")
    assert errors(opened) == ""
    assert opened.selectbox(key="case_run").options[:1] == ["mine"]
    sizes = {box.label: box.value for box in opened.number_input}
    assert sizes["Prompts a step, M"] == 4
    opened.button(key="case_ask").click().run()
    assert errors(opened) == ""
    assert figures_of(opened) == 1
    assert f"--run {folder / 'mine'}" in opened.code[-1].value


def test_an_uploaded_log_is_imported_once_and_says_what_was_read(folder, tmp_path):
    files = [(file.name, file.read_bytes()) for file in write_verl(tmp_path / "log").iterdir()]
    path, notes = keep_log(files, "verl", None, tmp_path / "kept")
    written = (path / "steps.jsonl").stat().st_mtime_ns
    assert keep_log(files[::-1], "verl", None, tmp_path / "kept") == (path, notes)
    assert (path / "steps.jsonl").stat().st_mtime_ns == written
    assert notes
    assert str(tmp_path) not in notes
    assert keep_log(files, "verl", 0.5, tmp_path / "kept")[0] != path
    case = advice.of_run(read_run(path), advice.Sizes())
    assert case.batch_size == 4
    with pytest.raises(InputError) as raised:
        keep_log([("mine.jsonl", b"{}\n")], "verl", None, tmp_path / "kept")
    assert "mine.jsonl" in str(raised.value)
    assert str(tmp_path) not in str(raised.value)


def test_measured_gradients_bring_their_sizes(folder):
    opened = page("my_case", case_have="Measured gradients")
    assert errors(opened) == ""
    assert [box.value for box in opened.number_input] == [64, 512, 2.5]


def test_a_run_that_is_too_short_is_an_error_with_its_reason(folder, tmp_path):
    import_log("trl", write_trl(tmp_path / "trl", steps=2), folder / "short")
    opened = page("my_case", case_have="A uniform run", case_run="short")
    assert "the run has 2 steps with a failure rate" in errors(opened)


def test_logs_of_one_name_are_refused(tmp_path):
    one, other = (list(write_verl(tmp_path / name).iterdir()) for name in ("one", "other"))
    files = [(file.name, file.read_bytes()) for file in (*one, *other)]
    with pytest.raises(InputError, match=r"two files are called 1\.jsonl"):
        keep_log(files, "verl", None, tmp_path / "kept")
