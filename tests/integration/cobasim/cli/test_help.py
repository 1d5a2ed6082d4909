"""What both commands say of themselves: version, completion, and the default of every option."""

from __future__ import annotations

import dataclasses
from typing import get_type_hints

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

import cobasim
from cobasim import cli, runs
from cobasim.cli.learn import SmallRunOptions
from cobasim.cli.options import ComparedOptions, RunOptions
from cobasim.cli.ring import RingOptions
from cobasim.experiments.ring.planning import SEEDS, SIZES
from cobasim.gym import cheap_config
from cobatrain.cli import app as cobatrain_app

APPS = {"cobasim": cli.app, "cobatrain": cobatrain_app}
COMMANDS = [(program, name) for program, app in APPS.items() for name in get_command(app).commands]


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_help_shows_the_default_of_every_option(program, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # one line an option
    lines = CliRunner().invoke(APPS[program], [name, "--help"]).output.splitlines()
    for option in get_command(APPS[program]).commands[name].params:
        if option.param_type_name == "argument":
            word = option.name if option.nargs == 1 else f"{option.name}..."
            (line,) = [line for line in lines if line.strip("│* ").startswith(f"{word} ")]
        else:
            (line,) = [line for line in lines if f" {option.opts[0]} " in f"{line[:60]} "]
        if option.required:
            assert "[required]" in line, line
        elif isinstance(option.show_default, str):
            assert f"[default: ({option.show_default})]" in line, line
        elif option.default is False and not option.secondary_opts:
            assert "[default" not in line, line  # a flag that is not given
        else:
            assert option.default is not None, f"{option.name}: say in show_default what None means"
            words = str(option.default)
            if isinstance(option.default, bool):
                words = (option.opts if option.default else option.secondary_opts)[0].lstrip("-")
            assert f"[default: {words}]" in line, line


def said(group: type, name: str) -> str:
    """What the help says of a default that is worked out."""
    hint = get_type_hints(group, include_extras=True)[name]
    (option,) = [part for part in hint.__metadata__ if isinstance(part, typer.models.OptionInfo)]
    return option.show_default


def test_defaults_in_words_are_those_of_presets_and_loops():
    quick = runs.CompareConfig(**runs.settle("quick", {}))
    paper = runs.CompareConfig(**runs.settle("paper", {}))
    for name in ("steps", "batch_size", "total_budget", "low", "high"):
        assert said(RunOptions, name).startswith(f"{getattr(quick.loop, name)};")
    assert f"preset paper: {paper.loop.steps};" in said(RunOptions, "steps")
    assert said(ComparedOptions, "seeds") == f"{quick.seeds}; preset paper: {paper.seeds}"
    assert said(RunOptions, "world") == quick.world.world
    assert said(RingOptions, "seeds") == f"{SEEDS['quick']}; preset full: {SEEDS['full']}"
    assert said(RingOptions, "steps").startswith(f"{SIZES['steps']};")
    given = dataclasses.asdict(SmallRunOptions())
    cheap = cheap_config({}).loop
    for name in ("steps", "batch_size", "total_budget", "low", "high"):
        assert given[name] == getattr(cheap, name)


@pytest.mark.parametrize("program", APPS)
def test_the_version_is_the_packages(program):
    done = CliRunner().invoke(APPS[program], ["--version"])
    assert (done.exit_code, done.output) == (0, f"{program} {cobasim.__version__}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell, monkeypatch, cobasim):
    def offered(words: str) -> str:
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", words)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        monkeypatch.setenv("_COBASIM_COMPLETE", f"complete_{shell}")
        return cobasim().out

    assert "compare" in offered("cobasim com")
    assert "--total-budget" in offered("cobasim compare --tot")
