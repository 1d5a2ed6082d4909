"""What a command line needs besides its commands: failures in one line, a bar, the command's text.

Shared by ``cobasim`` and ``cobatrain``.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from cobasim.errors import InputError
from cobasim.version import VERSION

INTERRUPTED = 130  # the exit code of Ctrl-C

JsonFlag = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON only.")]


def _tell_version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        print(f"{context.info_name} {VERSION}")
        raise typer.Exit


def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_tell_version, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    """Options of an application itself."""


def new_app(name: str, text: str) -> typer.Typer:
    """An application without commands: its help, ``--version``, and completion for shells."""
    app = typer.Typer(name=name, help=text, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.callback()(_common)
    return app


class Interrupted(Exception):
    """Ctrl-C; the message says what is kept."""


@contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """Ctrl-C inside ends the command with a line that says what is ``kept``, and where."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(kept) from None


def react_to_interrupt() -> None:
    """Raise KeyboardInterrupt on SIGINT even if this process was started with SIGINT ignored.

    A shell without job control, such as one that runs a script, starts background jobs that way,
    and their children inherit it: runs that the app or `cobatrain compare` starts could not be
    interrupted. The price: Ctrl-C in a script's terminal also stops a command in its background.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run_app(
    command: typer.Typer,
    expected: Callable[[], tuple[type[Exception], ...]] = lambda: (),
    *,
    kept: str = "what was recorded so far is kept",
) -> None:
    """Run a command line; an expected failure prints one line and exits with a code that is not 0.

    Args:
        command: the application.
        expected: names further exceptions that are not bugs; called only after one was raised.
        kept: what is kept after Ctrl-C, unless the command said so by ``interruptible``.
    """
    code = None
    react_to_interrupt()
    sys.path.append("")  # so that module:Class finds a module in the working folder
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        code = command(prog_name=command.info.name, standalone_mode=False)
        sys.stdout.flush()  # a full device shows up here, not at exit
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Interrupted as interrupted:
        code, kept = INTERRUPTED, str(interrupted)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _fail(f"{error.strerror or error}{where}")
    except Exception as error:
        message = getattr(error, "format_message", None)  # a usage error of the library
        if message is not None:
            _fail(message())
        if isinstance(error, expected()):
            _fail(f"{type(error).__name__}: {error}", code=1)
        raise
    if code == INTERRUPTED:
        _fail(f"interrupted; {kept}", code=INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int = 2) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)


def progress_bar(unit: str = "runs") -> Progress:
    """A bar on standard error, so that standard output stays clean; silent when piped.

    In a narrow terminal the text and the bar give way to the numbers.
    """
    return Progress(
        TextColumn(
            "{task.description}",
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
        BarColumn(None, table_column=Column(ratio=1)),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        expand=True,
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


def command_text(program: str = "cobasim", *more: str) -> str:
    """The command that is running, for reports; with ``more`` arguments behind it."""
    return shlex.join([program, *sys.argv[1:], *more])


def check_new_file(file: Path) -> None:
    """Raise InputError unless the file can be made: it is not there, and its folder is."""
    if file.exists():
        raise InputError(f"{file} exists; choose another --out")
    if not file.parent.is_dir():
        raise InputError(f"{file.parent} is not a folder: make it first, or choose another --out")
