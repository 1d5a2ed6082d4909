"""The command line as a whole: groups of options, help, interruptions, what is imported."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from cobasim import cli
from cobasim.cli import commands
from cobasim.cli.options import grouped
from cobasim.cli.sweep import summary_table

COMMANDS = {command.callback.__name__: command.callback for command in cli.app.registered_commands}


@dataclass(frozen=True)
class Size:
    """A group of two options."""

    width: Annotated[int, typer.Option(help="How wide.")]
    height: Annotated[int, typer.Option(min=1, help="How high.")] = 2


def test_the_fields_of_a_group_are_options_and_come_back_as_the_group():
    got = []

    def draw(
        name: Annotated[str, typer.Argument(help="Of what.")],
        size: Size,
        colour: Annotated[str, typer.Option(help="Of the lines.")] = "red",
    ) -> None:
        """Draw it."""
        got.append((name, size, colour))

    app = typer.Typer()
    app.command()(grouped(draw))
    runner = CliRunner()
    assert runner.invoke(app, ["x", "--width", "3"]).exit_code == 0
    assert (
        runner.invoke(app, ["y", "--width", "1", "--height", "5", "--colour", "b"]).exit_code == 0
    )
    assert got == [("x", Size(3, 2), "red"), ("y", Size(1, 5), "b")]
    assert runner.invoke(app, ["x"]).exit_code == 2  # width is required
    assert runner.invoke(app, ["x", "--width", "1", "--height", "0"]).exit_code == 2
    text = runner.invoke(app, ["--help"]).output
    for words in ("Draw it.", "How wide.", "How high.", "--colour"):
        assert words in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_names_every_option(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    done = CliRunner().invoke(cli.app, [name, "--help"])
    assert done.exit_code == 0
    command = inspect.unwrap(COMMANDS[name])
    hints = get_type_hints(command, include_extras=True)
    names = [
        option
        for parameter in inspect.signature(command).parameters
        for option in (
            [field.name for field in fields(hints[parameter])]
            if is_dataclass(hints[parameter])
            else [parameter]
        )
    ]
    special = {"as_json": "--json", "settings": "--set", "list_them": "--list"}
    for option in names:
        shown = special.get(option, "--" + option.replace("_", "-"))
        assert shown in done.output or option.upper() in done.output.upper()


def test_the_commands_of_the_docstring_are_those_there_are():
    listed = [
        line.split()[1]
        for line in commands.__doc__.splitlines()
        if line.strip().startswith("cobasim ")
    ]
    assert listed == list(COMMANDS)


def test_the_command_line_loads_nothing_slow():
    slow = ["torch", "streamlit", "plotly", "pyarrow", "joblib", "SALib", "scipy.stats", "pydantic"]
    code = f"import sys, cobasim.cli; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- interruptions -------------------------------------------------------------------------


def stop(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("command", ["sweep", "ring", "study", "compare"])
def test_an_interrupted_command_names_what_is_kept(command, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    arguments = {
        "sweep": ["--param", "kappa=7,11", "--allocators", "uniform,coba"],
        "ring": ["--allocators", "uniform,coba"],
        "study": ["updates", "--preset", "tiny"],
        "compare": ["--allocators", "uniform,coba"],
    }[command]
    if command != "study":
        arguments += ["--seeds", "2", "--steps", "2", "--jobs", "1"]
    where = "cobasim.runs.comparison" if command == "compare" else "cobasim.runs.sweeping"
    monkeypatch.setattr(f"{where}.in_parallel", stop)
    monkeypatch.setattr(sys, "argv", ["cobasim", command, *arguments, "--out", str(out)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 130
    kept = "finished runs are kept in {}; the same command resumes there"
    if command == "compare":
        kept = "the steps recorded so far are kept in {}; to compare again, choose another --out"
    assert capsys.readouterr().err == f"error: interrupted; {kept.format(out)}\n"
    assert out.is_dir()


def test_what_is_kept_may_be_said_for_a_whole_command_line(monkeypatch, capsys):
    app = typer.Typer()
    app.command()(stop_at_once)
    monkeypatch.setattr(sys, "argv", ["other", "now"])
    with pytest.raises(SystemExit) as stopped:
        cli.run_app(app, kept="the last checkpoint is kept")
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "error: interrupted; the last checkpoint is kept\n"


def stop_at_once(when: str) -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


# -- tables --------------------------------------------------------------------------------


def test_a_difference_of_zero_ranks_between_gains_and_losses():
    rows = [
        {"kappa": kappa, "weighting": "prompt", "allocator": "coba", "heldout": 50.0,
         "heldout_±": None, "minus_uniform": difference, "minus_uniform_±": None}
        for kappa, difference in ((1, -1.0), (2, None), (3, 0.0), (4, 2.0))
    ]  # fmt: skip
    table = summary_table(rows, ["kappa"])
    assert list(table.columns[0].cells) == ["4", "3", "1", "2"]


def test_the_best_forty_are_shown():
    rows = [
        {"kappa": k, "weighting": "prompt", "allocator": "coba", "heldout": 50.0,
         "heldout_±": 1.0, "minus_uniform": float(k), "minus_uniform_±": 0.5}
        for k in range(50)
    ]  # fmt: skip
    table = summary_table(rows, ["kappa"])
    assert list(table.columns[0].cells) == [str(k) for k in range(49, 9, -1)]
    assert "the best 40 of 50" in table.title
