"""What the modules of the ``cobasim`` command share: the application, its options, its output."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
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

from cobasim.errors import InputError, unknown_name

app = typer.Typer(
    name="cobasim",
    help="Study, compare and use rollout-budget allocators for RL with verifiable rewards.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

INTERRUPTED = 130  # the exit code of Ctrl-C

JsonFlag = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON only.")]

AllocatorsOption = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated names, or module:Class of your own; oracle-NAME is shown the true "
        "pass rates."
    ),
]

SeedsOption = Annotated[int | None, typer.Option(help="Number of seeds.")]

StepsOption = Annotated[int | None, typer.Option(help="Policy updates in a run.")]

WorldOption = Annotated[
    str | None, typer.Option(help="logistic, skill-chain, or module:Class of your own.")
]

WeightingOption = Annotated[
    str, typer.Option(help="Weight of a prompt in the loss: rollout, prompt or both.")
]

PassRatesOption = Annotated[
    str | None,
    typer.Option(help="File of measured pass rates: one simulated prompt starts at each."),
]

EstimatorOption = Annotated[
    str | None,
    typer.Option(
        help="Pass-rate rule for all: last, window, robust or posterior. Not given: the rule "
        "of each allocator's publication."
    ),
]

BatchOption = Annotated[int | None, typer.Option(help="Prompts in a step, M.")]

BudgetOption = Annotated[int | None, typer.Option(help="Rollouts in a step.")]

LowOption = Annotated[int | None, typer.Option(help="Fewest rollouts of a prompt.")]

HighOption = Annotated[int | None, typer.Option(help="Most rollouts of a prompt.")]

SettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="name=value: any setting of the world, the loop or an allocator, such as "
        "transfer=0.2 or kappa=15. May be repeated.",
    ),
]

JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Processes at a time; one per processor if not given.")
]


def run_app(
    command: typer.Typer, expected: Callable[[], tuple[type[Exception], ...]] = lambda: ()
) -> None:
    """Run a command line; every expected failure is one line and an exit code that is not 0.

    Args:
        command: the application.
        expected: names further exceptions that are no bugs; called only after one was raised.
    """
    code = None
    sys.path.append("")  # so that module:Class finds a module in the working folder
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        code = command(standalone_mode=False)
        sys.stdout.flush()  # a full device shows here rather than at exit
    except KeyboardInterrupt:
        code = INTERRUPTED
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
        _fail("interrupted; what was recorded so far is kept", code=INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int = 2) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)


def progress_bar(unit: str = "runs") -> Progress:
    """A bar on standard error, so that standard output stays clean; silent when piped."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


def allocator_list(text: str) -> tuple[str, ...]:
    """Names, comma-separated."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def weighting_list(weighting: str) -> tuple[str, ...]:
    """rollout, prompt or both. Raises InputError for anything else."""
    choices = {"rollout": ("rollout",), "prompt": ("prompt",), "both": ("rollout", "prompt")}
    if weighting not in choices:
        raise unknown_name("weighting", weighting, choices)
    return choices[weighting]


def command_text() -> str:
    """The command that is running, for reports."""
    return shlex.join(["cobasim", *sys.argv[1:]])


def short(value: object) -> str:
    """A value as a cell of a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Seconds as text."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
