"""Every command and the code of docs/tutorial.md, the long ones at a smaller size."""

from __future__ import annotations

import re
import shlex
import tomllib

import pytest
from documents import block
from repository import EXAMPLES, ROOT
from trainer_logs import write_verl

from cobasim.records import read_run

PAGE = "docs/tutorial.md"
SMALL = ["--seeds", 2, "--steps", 2, "--jobs", 1]
# a block's name, and what its commands are given in addition
RUN = {"allocate": [], "import": [], "compare": SMALL, "recommendation": SMALL}
NOT_RUN = {"install", "explore"}  # a new environment; a server, which tests of the app open


def commands(name: str) -> list[list[str]]:
    text = block(PAGE, f"<!-- tutorial: {name} -->").replace("\\\n", " ")
    return [shlex.split(line) for line in text.strip().splitlines()]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the repository's examples and a log of verl."""
    (tmp_path / "examples").symlink_to(EXAMPLES)
    write_verl(tmp_path / "rollouts", 4)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def test_every_block_of_the_tutorial_is_run_or_known_not_to_be():
    text = (ROOT / PAGE).read_text()
    marked = re.findall(r"<!-- tutorial: (.*?) -->\n```(?:bash|python)", text)
    assert set(marked) == {*RUN, *NOT_RUN, "ledger"}
    assert len(marked) == len(re.findall(r"```(?:bash|python)", text))


@pytest.mark.parametrize("name", RUN)
def test_commands_of_the_tutorial_run(name, folder, cobasim):
    for program, *arguments in commands(name):
        assert program == "cobasim"
        answer = cobasim(*arguments, *RUN[name])
        assert answer.code == 0, answer.err


def test_what_allocate_prints_is_on_the_page(folder, cobasim):
    (_, *arguments), *_ = commands("allocate")
    printed = [line.rstrip() for line in cobasim(*arguments).out.strip("\n").splitlines()]
    shown = block(PAGE, "<!-- tutorial: allocate output -->").strip("\n").splitlines()
    assert printed == shown


def test_code_of_the_tutorial_runs(folder, capsys):
    exec(block(PAGE, "<!-- tutorial: ledger -->"), {})
    least, most, total = map(int, capsys.readouterr().out.split())
    assert 2 <= least < most <= 64
    assert total == 1024
    assert len(read_run("runs/third").steps) == 10


def test_commands_that_are_not_run_name_what_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name in NOT_RUN:
        for program, *arguments in commands(name):
            if program == "pip":
                wanted = re.findall(r"\[(.*)\]", arguments[-1])
                assert set(wanted) <= set(extras["optional-dependencies"])
            elif program == "cobasim":
                assert arguments[0] in ("--help", "explore")
