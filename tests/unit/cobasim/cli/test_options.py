"""Groups of options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from cobasim.cli.options import grouped


@dataclass(frozen=True)
class Size:
    """A group of two options."""

    width: Annotated[int, typer.Option(help="How wide.")]
    height: Annotated[int, typer.Option(min=1, help="How high.")] = 2


@dataclass(frozen=True)
class Colour:
    """A group of one option."""

    shade: Annotated[str, typer.Option(help="How dark.")] = "light"


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


def test_a_group_may_be_named_as_an_option_of_another():
    got = []

    def draw(width: Colour, size: Size) -> None:
        got.append((width, size))

    app = typer.Typer()
    app.command()(grouped(draw))
    assert CliRunner().invoke(app, ["--width", "3", "--shade", "dark"]).exit_code == 0
    assert got == [(Colour("dark"), Size(3, 2))]
