"""The command line as a whole: help, and interruptions."""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields, is_dataclass
from typing import get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from cobasim import cli
from cobasim.cli import commands

COMMANDS = {
    command.name or command.callback.__name__: command.callback
    for command in cli.app.registered_commands
}


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


def stop(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("command", ["sweep", "ring", "study", "compare"])
def test_an_interrupted_command_names_what_is_kept(command, tmp_path, monkeypatch, cobasim):
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
    answer = cobasim(command, *arguments, "--out", out)
    assert answer.code == 130
    kept = f"finished runs are kept in {out}; the same command resumes there"
    assert answer.err == f"error: interrupted; {kept}\n"
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
