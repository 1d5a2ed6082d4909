"""Options that say how a file of measured pass rates is read; commands that take one share them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from cobasim.data import MeasuredRates, RateOptions


@dataclass(frozen=True)
class ReadingOptions:
    """Which columns of the file hold what, in which notation, and which rows are used."""

    column: Annotated[
        str | None,
        typer.Option(help="Column of pass rates, dots for nested ones.", show_default="pass_rate"),
    ] = None
    passes: Annotated[
        str | None, typer.Option(help="Column of counts of passes.", show_default="none")
    ] = None
    failures: Annotated[
        str | None, typer.Option(help="Column of counts of failures.", show_default="none")
    ] = None
    attempts: Annotated[
        str | None,
        typer.Option(
            help="Column of attempts, or one number for all rows.",
            show_default="the column attempts or rollouts, if there is one",
        ),
    ] = None
    out_of: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Attempts of every row: --passes solved --out-of 16.",
            show_default="see --attempts",
        ),
    ] = None
    group_by: Annotated[
        str | None,
        typer.Option(
            help="One row a rollout: the column that names its prompt (with --score).",
            show_default="one row a prompt",
        ),
    ] = None
    score: Annotated[
        str | None,
        typer.Option(
            help="One row a rollout: the column of its score.", show_default="one row a prompt"
        ),
    ] = None
    threshold: Annotated[
        float | None,
        typer.Option(
            help="A score of at least this is a pass.", show_default="scores must be 0 or 1"
        ),
    ] = None
    invert: Annotated[bool, typer.Option("--invert", help="The column counts failures.")] = False
    percent: Annotated[bool, typer.Option("--percent", help="Rates are percent.")] = False
    decimal_comma: Annotated[bool, typer.Option("--decimal-comma", help="0,5 is one half.")] = False
    missing: Annotated[
        str, typer.Option(help="Rows without a value: error or skip (allocate: also unseen).")
    ] = "error"
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Use the first rows only (with --group-by: the first prompts).",
            show_default="all",
        ),
    ] = None
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Use this many rows, drawn at random.", show_default="all"),
    ] = None
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of --sample (calibrate: of its search too).")
    ] = 0
    split: Annotated[
        str | None, typer.Option(help="Split of a dataset folder.", show_default="its only one")
    ] = None

    def options(self) -> RateOptions:
        """The same, checked. Raises InputError."""
        from cobasim.data import RateOptions
        from cobasim.settings import validated

        return validated(RateOptions, vars(self))

    def given(self) -> dict[str, Any] | None:
        """What differs from the defaults; None: nothing."""
        return self.options().model_dump(mode="json", exclude_defaults=True) or None


def tell(pool: MeasuredRates | None) -> None:
    """Say on standard error what was read, used and dropped."""
    if pool is not None:
        Console(stderr=True).print(pool.summary, highlight=False, markup=False, soft_wrap=True)
