"""Options that commands share, alone or in groups.

A group is a frozen dataclass whose fields are options. ``grouped`` makes a command for typer of a
function that takes groups: each field becomes an option of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from cobasim.cli.reading import ReadingOptions
from cobasim.errors import InputError, unknown_name

if TYPE_CHECKING:
    from cobasim.data import MeasuredRates


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of its dataclass parameters in their place, as options."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {}
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if is_dataclass(kind) and isinstance(kind, type):
            groups[parameter.name] = kind
            options += _fields(kind)
        else:
            options.append(_option(parameter.name, kind, parameter.default))

    @wraps(command)
    def run(**given: Any) -> None:
        values = {  # made before any is added: a group may be named as an option of another
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        command(**given, **values)

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _fields(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    empty = inspect.Parameter.empty
    return [
        _option(field.name, hints[field.name], empty if field.default is MISSING else field.default)
        for field in fields(group)
    ]


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


# -- options ---------------------------------------------------------------------------------
#
# An option whose default is None says in ``show_default`` what that means.

PRESET = "the preset's"
AS_MEASURED = "as measured in a measured world"

AllocatorsOption = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated names, or module:Class of your own; oracle-NAME is shown the true "
        "pass rates.",
        show_default=PRESET,
    ),
]
SeedsOption = Annotated[int, typer.Option(min=1, help="Number of seeds.")]
StepsOption = Annotated[int, typer.Option(help="Policy updates in a run.")]
WorldOption = Annotated[
    str | None,
    typer.Option(
        help="logistic, skill-chain, measured:FILE, or module:Class of your own.",
        show_default="logistic",
    ),
]
WeightingOption = Annotated[
    str, typer.Option(help="What counts equally in the loss: rollout, prompt or both.")
]
PassRatesOption = Annotated[
    str | None,
    typer.Option(
        help="File of measured pass rates: one simulated prompt starts at each.",
        show_default="drawn from the world's population",
    ),
]
EstimatorOption = Annotated[
    str | None,
    typer.Option(
        help="Pass-rate rule for all: last, window, robust or posterior.",
        show_default="the rule of each allocator's publication",
    ),
]
BatchOption = Annotated[int, typer.Option(help="Prompts in a step, M.")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="name=value: any setting of the world, the loop or an allocator, such as "
        "transfer=0.2 or kappa=15. May be repeated.",
        show_default="none",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Processes at a time.", show_default="one per processor"),
]
SampleSeedOption = Annotated[int, typer.Option(min=0, help="Seed of the sample.")]
ResumeOption = Annotated[str, typer.Option(help="Folder; the same command resumes there.")]
YesFlag = Annotated[bool, typer.Option(help="Allow very many runs.")]


# -- groups ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ComparedOptions:
    """What is compared: allocators, weightings and seeds."""

    allocators: AllocatorsOption = None
    seeds: Annotated[
        int | None, typer.Option(help="Number of seeds.", show_default="8; preset paper: 16")
    ] = None
    weighting: WeightingOption = "both"
    pass_rates: PassRatesOption = None
    first_beliefs: Annotated[
        str | None,
        typer.Option(
            help="What estimators know at the start: unseen (nothing), or measured (each prompt "
            "was tried as often as in the file).",
            show_default="measured if a file has attempts, else unseen",
        ),
    ] = None

    def pool(self, reading: ReadingOptions) -> MeasuredRates | None:
        """The measured pass rates, if a file is given.

        Raises InputError if it cannot be used, and for options of reading without a file.
        """
        from cobasim.runs import measured_pool

        given = reading.given()
        if self.pass_rates is None and given is not None:
            flag = next(iter(given)).replace("_", "-")
            raise InputError(
                f"--{flag} says how a file of pass rates is read: add --pass-rates FILE"
            )
        return measured_pool(self.pass_rates, reading.options())

    def chosen(
        self, reading: ReadingOptions, pool: MeasuredRates | None, settings: Iterable[str]
    ) -> dict[str, Any]:
        """Values for ``settle``; None: not chosen. ``settings``: names of others that are given.

        Raises InputError if beliefs are to start from attempts that the pool does not have, and for
        a number of prompts beside the pool's.
        """
        from cobasim.runs import known_attempts

        if pool is not None and "num_prompts" in settings:
            raise InputError(
                "the file of pass rates says how many prompts there are: leave num_prompts out "
                "(--limit and --sample use fewer)"
            )

        names = None if self.allocators is None else allocator_list(self.allocators)
        beliefs = self.first_beliefs
        if beliefs is None and pool is not None and pool.attempts is not None:
            beliefs = "measured"
        known_attempts(beliefs or "unseen", pool)
        return {
            "allocators": names,
            "weightings": weighting_list(self.weighting),
            "seeds": self.seeds,
            "pass_rates": self.pass_rates,
            "reading": reading.given(),
            "first_beliefs": beliefs,
        }


@dataclass(frozen=True)
class RunOptions:
    """What a simulated run is like."""

    world: WorldOption = None
    steps: Annotated[
        int | None,
        typer.Option(
            help="Policy updates in a run.", show_default=f"300; preset paper: 500; {AS_MEASURED}"
        ),
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(help="Prompts in a step, M.", show_default=f"512; {AS_MEASURED}"),
    ] = None
    total_budget: Annotated[
        int | None, typer.Option(help="Rollouts in a step.", show_default=f"8192; {AS_MEASURED}")
    ] = None
    low: Annotated[
        int | None, typer.Option(help="Min rollouts per prompt.", show_default=f"2; {AS_MEASURED}")
    ] = None
    high: Annotated[
        int | None,
        typer.Option(help="Max rollouts per prompt.", show_default=f"128; {AS_MEASURED}"),
    ] = None
    estimator: EstimatorOption = None
    settings: SettingsOption = None

    def chosen(self) -> dict[str, Any]:
        """Values by flat name, without those of ``--set``; None: not chosen."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "settings"
        }

    def plain(self) -> dict[str, Any]:
        """Values of ``--set`` by flat name."""
        return plain_settings(self.settings)


def plain_settings(settings: list[str] | None) -> dict[str, Any]:
    """Values of ``--set`` by flat name."""
    from cobasim.settings import split_settings

    return split_settings(settings or [])


def allocator_list(text: str) -> tuple[str, ...]:
    """Names, comma-separated."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def weighting_list(weighting: str) -> tuple[str, ...]:
    """rollout, prompt or both. Raises InputError for anything else."""
    choices = {"rollout": ("rollout",), "prompt": ("prompt",), "both": ("rollout", "prompt")}
    if weighting not in choices:
        raise unknown_name("weighting", weighting, choices)
    return choices[weighting]
