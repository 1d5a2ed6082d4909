"""Commands, output and code of docs/import.md, on small logs."""

from __future__ import annotations

import re
import shlex

import pytest
from documents import block
from repository import ROOT
from trainer_logs import (
    GROUP,
    batch_of,
    passes_of,
    write_lines,
    write_trl,
    write_validation,
    write_verl,
)

STEPS = 12


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """The logs that the page names, in the working folder."""
    write_verl(tmp_path / "rollouts", STEPS)
    write_validation(tmp_path / "validation", range(0, STEPS + 1, 4))
    write_trl(tmp_path / "output", STEPS)
    rows = [
        {"iteration": step, "info": {"question": f"{prompt}?"},
         "correct": k < passes_of(step, prompt)}
        for step in range(1, STEPS + 1) for prompt in batch_of(step) for k in range(GROUP)
    ]  # fmt: skip
    write_lines(tmp_path / "log.jsonl.gz", rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def commands(marker: str) -> list[list[str]]:
    lines = block("docs/import.md", marker).strip().splitlines()
    return [shlex.split(line)[1:] for line in lines]


def test_commands_and_output_of_the_page(logs, cobasim):
    answers = [cobasim(*command) for command in commands("<!-- import examples -->")]
    assert [answer.code for answer in answers] == [0, 0, 0], answers
    printed = [line.rstrip() for line in answers[0].out.strip().splitlines()]
    assert printed == block("docs/import.md", "<!-- import output -->").strip("`\n").splitlines()
    headlines = {answer.out.splitlines()[-1] for answer in answers}
    assert headlines == {"Rollouts that taught nothing: 120 of 384 (31.2%)"}


def test_what_the_page_does_with_imports(logs, cobasim):
    for command in commands("<!-- import examples -->"):
        assert cobasim(*command).code == 0
    again = ["import", "verl", "rollouts", "--validation", "validation", "--seed", 1]
    assert cobasim(*again, "--out", "runs/verl-1").code == 0
    fast = {"compare": ["--steps", 4, "--seeds", 2, "--jobs", 1],
            "calibrate": ["--samples", 2, "--refine", 0, "--seeds", 1, "--jobs", 1,
                          "--model", "as it was"]}  # fmt: skip
    for command in commands("<!-- use of imports -->"):
        if command[0] == "explore":  # a server: tests of the app open such runs
            continue
        answer = cobasim(*command, *fast.get(command[0], []))
        assert answer.code == 0, answer.err


def test_python_of_the_page(logs, capsys):
    code = block("docs/import.md", "## From Python\n\n```python")
    exec(code, {})
    assert capsys.readouterr().out.strip() in code


def test_every_option_of_the_page_is_one_of_the_command(cobasim, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = cobasim("import", "--help").out
    page = (ROOT / "docs" / "import.md").read_text()
    page = page[page.index("## Layouts") : page.index("## From Python")]
    options = r"--[a-z][a-z-]+"
    assert set(re.findall(options, page)) <= set(re.findall(options, text))
