"""``cobasim study``."""

from __future__ import annotations

import json

import pytest

from cobasim import cli
from cobasim.errors import InputError
from cobasim.experiments.studies import STUDIES


def call(*words: str) -> int:
    """Run the command line in this process; its exit code."""
    return cli.app(["study", *words], standalone_mode=False) or 0


def test_the_command_lists_studies_with_one_line_each(capsys):
    call()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(STUDIES)
    call("--list", "--json")
    assert json.loads(capsys.readouterr().out) == {n: s.question for n, s in STUDIES.items()}


def test_the_command_refuses_what_it_does_not_know(tmp_path):
    with pytest.raises(InputError, match="did you mean 'rounding'"):
        call("roundin")
    with pytest.raises(InputError, match="did you mean 'quick'"):
        call("rounding", "--preset", "quik")
    with pytest.raises(InputError, match="did you mean 'coba'"):
        call("phase", "--allocators", "cobba", "--out", str(tmp_path / "new"))
    with pytest.raises(InputError, match="has its own allocators, got coba"):
        call("rounding", "--allocators", "coba", "--out", str(tmp_path / "new"))
    with pytest.raises(InputError, match="needs a measured world: add --world measured:FILE"):
        call("best-budgets", "--out", str(tmp_path / "new"))
    with pytest.raises(InputError, match="needs a measured world"):
        call("best-budgets", "--world", "logistic", "--out", str(tmp_path / "new"))
    with pytest.raises(InputError, match="'rounding' has its own worlds"):
        call("rounding", "--world", "logistic", "--out", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_the_command_refuses_a_folder_of_something_else(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="holds no study"):
        call("rounding", "--preset", "tiny", "--out", str(tmp_path))
    with pytest.raises(InputError, match="holds no study"):
        call("rounding", "--preset", "tiny", "--out", str(tmp_path / "mine.txt"))


def test_the_command_goes_on_in_its_folder_and_in_no_other(tmp_path, capsys):
    folder = str(tmp_path / "out")
    for _ in range(2):
        call("rounding", "--preset", "tiny", "--out", folder, "--json")
        assert json.loads(capsys.readouterr().out)["study"] == "rounding"
    with pytest.raises(InputError, match=r"holds another plan \(study-plan.json differs"):
        call("rounding", "--preset", "quick", "--out", folder)
