"""``cobasim allocate``: budgets for a file of pass rates."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from cobasim.allocation import SOLVERS
from cobasim.cli.common import JsonFlag, check_new_file
from cobasim.cli.output import show
from cobasim.cli.reading import ReadingOptions, tell
from cobasim.files import write_atomically

if TYPE_CHECKING:
    from cobasim.arrays import IntArray
    from cobasim.data import MeasuredRates

EDGES = {"0": 0.0, "to 0.2": 0.2, "to 0.4": 0.4, "to 0.6": 0.6, "to 0.8": 0.8,
         "below 1": 1.0 - 1e-12, "1": 1.0}  # fmt: skip
"""Rows of the table: names, and the highest pass rate of each."""

ALLOCATOR = "the allocator's own"


@dataclass(frozen=True)
class LimitOptions:
    """How many rollouts there are."""

    total_budget: Annotated[int, typer.Option(help="Rollouts to spend in all.")]
    low: Annotated[int, typer.Option(help="Min rollouts per prompt.")] = 2
    high: Annotated[int, typer.Option(help="Max rollouts per prompt.")] = 128


@dataclass(frozen=True)
class StateOptions:
    """What the allocator is told of the run."""

    failure_rate: Annotated[
        float | None,
        typer.Option(help="Global failure rate.", show_default="1 - mean pass rate"),
    ] = None
    progress: Annotated[float, typer.Option(help="Share of the run that is done.")] = 0.0


@dataclass(frozen=True)
class ParameterOptions:
    """Parameters of the allocator; None: its default."""

    kappa: Annotated[
        float | None, typer.Option(help="alpha + beta (coba).", show_default=ALLOCATOR)
    ] = None
    gamma: Annotated[
        float | None, typer.Option(help="Steepness of Eq. 6 (coba).", show_default=ALLOCATOR)
    ] = None
    tau: Annotated[
        float | None, typer.Option(help="Saturation scale of Eq. 8.", show_default=ALLOCATOR)
    ] = None
    alpha: Annotated[
        float | None, typer.Option(help="Hold alpha at this value.", show_default=ALLOCATOR)
    ] = None
    beta: Annotated[
        float | None, typer.Option(help="Second shape parameter (fixed).", show_default=ALLOCATOR)
    ] = None


def allocate(
    file: Annotated[
        str,
        typer.Argument(
            help="Pass rates: csv, tsv, txt, json, jsonl, npy, npz, parquet or arrow, also .gz; a "
            "dataset folder; - for standard input. A column pass_rate, or see --column."
        ),
    ],
    limits: LimitOptions,
    reading: ReadingOptions,
    state: StateOptions,
    parameters: ParameterOptions,
    allocator: Annotated[str, typer.Option(help="See `cobasim allocators`.")] = "coba",
    solver: Annotated[str, typer.Option(help=f"One of {', '.join(SOLVERS)}.")] = "threshold",
    prompt: Annotated[
        str | None,
        typer.Option(help="Column that names the prompts, for --out.", show_default="rows only"),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="CSV file to write: row, prompt, pass rate, attempts, budget.",
            show_default="no file",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Budgets for a file of pass rates: how many rollouts each prompt should get."""
    from cobasim.allocation import Limits, prepare
    from cobasim.data import read_measured
    from cobasim.settings import validated

    options = reading.options()
    if prompt is not None:
        options = validated(type(options), options.model_dump() | {"prompt": prompt})
    if out is not None:
        check_new_file(Path(out))
    measured = read_measured(file, options)
    given = {name: value for name, value in asdict(parameters).items() if value is not None}
    obs, built = prepare(
        measured.pass_rate,
        attempts=measured.attempts,
        allocator=allocator,
        solver=solver,
        **asdict(state),
        **given,
    )
    budgets = built(obs, Limits(limits.total_budget, limits.low, limits.high))
    shape = built.shape(obs)
    if out is not None:
        _write(Path(out), measured, budgets)
    (_print_json if as_json else _print)(allocator, measured, budgets, shape)
    tell(measured)


def _write(path: Path, measured: MeasuredRates, budgets: IntArray) -> None:
    """One line a prompt, completely or not at all."""
    columns: dict[str, Iterable[Any]] = {"row": measured.rows.tolist()}
    if measured.prompts is not None:
        columns["prompt"] = measured.prompts
    columns["pass_rate"] = measured.pass_rate.tolist()
    if measured.attempts is not None:
        unseen = measured.attempts == 0
        columns["pass_rate"] = np.where(unseen, "", measured.pass_rate.astype(str)).tolist()
        columns["attempts"] = measured.attempts.astype(np.int64).tolist()
    columns["budget"] = budgets.tolist()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_atomically(path, text.getvalue())


def _print_json(
    _: str, measured: MeasuredRates, budgets: IntArray, shape: tuple[float, float] | None
) -> None:
    alpha, beta = (None, None) if shape is None else shape
    total = int(budgets.sum())
    content = {"budgets": budgets.tolist(), "alpha": alpha, "beta": beta, "total": total}
    if not measured.whole:
        content["rows"] = measured.rows.tolist()
    print(json.dumps(content), flush=True)


def _print(
    allocator: str, measured: MeasuredRates, budgets: IntArray, shape: tuple[float, float] | None
) -> None:
    title = f"{allocator}: {budgets.sum()} rollouts over {budgets.size} prompts"
    show(_table(title, measured, budgets))
    if shape is not None:
        print(f"preference density: Beta({shape[0]:.2f}, {shape[1]:.2f})")
    order = "in the order of the file" if measured.whole else "with their rows, counted from 0"
    print(f"budgets {order}: add --json, or --out FILE.csv", flush=True)


def _table(title: str, measured: MeasuredRates, budgets: IntArray) -> Table:
    """Budgets by pass rate; prompts that were not measured have a row of their own."""
    table = Table(title=title)
    attempts, rates = measured.attempts, measured.pass_rate
    seen = np.ones(rates.size, dtype=bool) if attempts is None else attempts > 0
    parts = {
        name: seen & (rates > above) & (rates <= upto)
        for name, (above, upto) in zip(
            EDGES, itertools.pairwise([-1.0, *EDGES.values()]), strict=True
        )
    }
    for column in ("pass rate", "prompts", "rollouts", "share of budget", "mean", "min", "max"):
        table.add_column(column, justify="right")
    for name, rows in {**parts, "not measured": ~seen}.items():
        part = budgets[rows]
        if part.size:
            table.add_row(
                name,
                str(part.size),
                str(part.sum()),
                f"{part.sum() / budgets.sum():.1%}" if budgets.sum() else "-",
                f"{part.mean():.1f}",
                str(part.min()),
                str(part.max()),
            )
    return table
