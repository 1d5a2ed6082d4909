"""``cobasim import``: logs of other trainers as run directories."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from cobasim.cli.common import JsonFlag, interruptible, progress_bar
from cobasim.cli.output import narrow_table, say, say_files, show

if TYPE_CHECKING:
    from cobasim.importing import ClassRow, Imported, ImportOptions

MEGABYTE = 1e6
LAYOUT = "as the layout has it"


@dataclass(frozen=True)
class ColumnOptions:
    """Which columns hold what; None: the layout's own names."""

    step: Annotated[
        str | None, typer.Option(help="Column of the step's number.", show_default=LAYOUT)
    ] = None
    prompt: Annotated[
        str | None, typer.Option(help="Column of the prompt.", show_default=LAYOUT)
    ] = None
    score: Annotated[
        str | None,
        typer.Option(help="Column that says whether a rollout passed.", show_default=LAYOUT),
    ] = None
    response: Annotated[
        str | None, typer.Option(help="Column of the response.", show_default=LAYOUT)
    ] = None
    length: Annotated[
        str | None,
        typer.Option(help="Column of response lengths in tokens.", show_default=LAYOUT),
    ] = None
    group: Annotated[
        str | None,
        typer.Option(
            help="Rollouts of a step with the same value here are one group.", show_default=LAYOUT
        ),
    ] = None
    reward: Annotated[
        str | None,
        typer.Option(help="Column of what the trainer optimises.", show_default="the score"),
    ] = None
    advantage: Annotated[
        str | None,
        typer.Option(
            help="Column of advantages: groups in which all are equal taught nothing.",
            show_default=LAYOUT,
        ),
    ] = None


@dataclass(frozen=True)
class RowOptions:
    """How rows are read, and which evaluations belong to them."""

    passed: Annotated[
        float | None,
        typer.Option(
            help="Least score of a pass.", show_default="scores are -1, 0 or 1, and 1 passed"
        ),
    ] = None
    malformed: Annotated[
        Literal["error", "skip"],
        typer.Option(help="Rows that cannot be read, or have no score."),
    ] = "error"
    repeated_step: Annotated[
        Literal["error", "last", "join"],
        typer.Option(
            help="A step that comes twice: last keeps the later rows (a resumed run), join puts "
            "them together (several writers)."
        ),
    ] = "error"
    eval_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="trl: its eval_steps; what it logged at these is left out.",
            show_default="none",
        ),
    ] = None
    validation: Annotated[
        str | None,
        typer.Option(
            help="Folder of validation rollouts (verl: trainer.validation_data_dir).",
            show_default="none",
        ),
    ] = None
    validation_score: Annotated[
        str | None, typer.Option(help="Its column of scores.", show_default="as --score")
    ] = None


@dataclass(frozen=True)
class GivenOptions:
    """What the log does not say."""

    allocator: Annotated[str, typer.Option(help="The rule that gave the budgets.")] = "uniform"
    weighting: Annotated[
        Literal["rollout", "prompt", "token"],
        typer.Option(help="What counts alike in the loss."),
    ] = "rollout"
    seed: Annotated[int, typer.Option(min=0, help="Seed of the run; runs are paired by it.")] = 0
    low: Annotated[
        int | None, typer.Option(min=0, help="Least budget.", show_default="as logged")
    ] = None
    high: Annotated[
        int | None, typer.Option(min=1, help="Largest budget.", show_default="as logged")
    ] = None
    model: Annotated[
        str | None, typer.Option(help="Name of the model, to be shown.", show_default="none")
    ] = None


def import_logs(
    layout: Annotated[
        Literal["verl", "trl", "jsonl"],
        typer.Argument(help="Who wrote the log; jsonl: any table with one row a rollout."),
    ],
    source: Annotated[str, typer.Argument(help="The log: a folder or a file, also .gz.")],
    columns: ColumnOptions,
    rows: RowOptions,
    given: GivenOptions,
    out: Annotated[str, typer.Option(help="New folder of the run.")],
    as_json: JsonFlag = False,
) -> None:
    """Turn the log of another GRPO trainer into a run directory."""
    from cobasim.importing import ImportOptions
    from cobasim.settings import validated

    values = asdict(columns) | asdict(rows) | asdict(given)
    options = validated(ImportOptions, values)
    with interruptible("nothing was written"):
        imported = _import(layout, source, out, options)
    if as_json:
        print(json.dumps(imported.to_json()))
        return
    _print(imported)


def _import(layout: str, source: str, out: str, options: ImportOptions) -> Imported:
    """Import with a bar over megabytes."""
    from cobasim.importing import import_log, log_size

    size = log_size(layout, source, options)
    with progress_bar("MB") as progress:
        bar = progress.add_task(f"import {layout}", total=max(size / MEGABYTE, 1e-6))
        return import_log(
            layout, source, out, options,
            on_bytes=lambda number: progress.advance(bar, number / MEGABYTE),
        )  # fmt: skip


def _print(imported: Imported) -> None:
    from cobasim.importing import GROUPS, PASS_RATES, counted

    numbers, out = imported.to_json(), imported.out
    say(
        f"{imported.log.layout.trainer}, {imported.log.source}: {counted(numbers['rows'], 'row')} "
        f"of {counted(numbers['files'], 'file')}; used {counted(numbers['rollouts'], 'rollout')} "
        f"in {counted(numbers['groups'], 'group')} of {counted(numbers['prompts'], 'prompt')}; "
        f"{counted(numbers['steps'], 'step')}, {numbers['first_step']} to {numbers['last_step']}"
    )
    say(*(f"- {note}" for note in imported.notes))
    show(_table(imported.classes))
    say(
        "mixed, all passed, all failed: rollouts in groups with such outcomes; taught nothing: "
        "share in groups whose rewards (or advantages) are all equal"
    )
    say_files({"run": out, "groups": out / GROUPS, "pass rates": out / PASS_RATES})
    say(imported.headline)


def _table(rows: tuple[ClassRow, ...]) -> Table:
    """Rollouts by the difficulty class of their prompts."""
    table = narrow_table("Rollouts by pass rate of the prompt over the whole log")
    headers = ("class", "prompts", "rollouts", "mixed", "all passed", "all failed",
               "taught nothing")  # fmt: skip
    for header in headers:
        table.add_column(header, justify="left" if header == "class" else "right")
    for row in rows:
        counts = (row.prompts, row.rollouts, row.mixed, row.all_passed, row.all_failed)
        share = "-" if row.share is None else f"{row.share:.1%}"
        table.add_row(row.name, *(f"{n:,}" for n in counts), share, end_section=row is rows[-2])
    return table
