"""``cobasim advise``: whether uneven budgets would help one's own run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cobasim.cli.common import JsonFlag, command_text, interruptible
from cobasim.cli.options import JobsOption
from cobasim.cli.output import narrow_table, run_bar, say, say_files, show
from cobasim.cli.reading import ReadingOptions, tell
from cobasim.errors import InputError

if TYPE_CHECKING:
    from cobasim.experiments.advice import Advice

SOURCE = "give one of --pass-rates, --run and --measured"


def advise(
    reading: ReadingOptions,
    pass_rates: Annotated[
        str | None, typer.Option(help="File of measured pass rates.", show_default=SOURCE)
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            help="Folder of a uniform run: of cobatrain, a ledger, or imported.",
            show_default=SOURCE,
        ),
    ] = None,
    measured: Annotated[
        str | None,
        typer.Option(help="File of measured gradients, or two with a comma.", show_default=SOURCE),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Prompts in a step, M.",
            show_default="the source's, else a quarter of the pool, 512 at most",
        ),
    ] = None,
    total_budget: Annotated[
        int | None,
        typer.Option(help="Rollouts in a step.", show_default="the source's, else 16 a prompt"),
    ] = None,
    low: Annotated[
        int | None,
        typer.Option(help="Min rollouts per prompt.", show_default="the source's, else 2"),
    ] = None,
    high: Annotated[
        int | None,
        typer.Option(
            help="Max rollouts per prompt.", show_default="the source's, else 8 times the mean"
        ),
    ] = None,
    visits: Annotated[
        float | None,
        typer.Option(
            help="Times that each prompt of the pool comes up in the run.",
            show_default="the source's, else 3",
        ),
    ] = None,
    pool_size: Annotated[
        int | None,
        typer.Option(
            help="Prompts of the pool.", show_default="the source's, else the rows of the file"
        ),
    ] = None,
    weighting: Annotated[
        str, typer.Option(help="What counts equally in the loss: rollout, token or prompt.")
    ] = "rollout",
    trainer: Annotated[
        str, typer.Option(help="Whose settings are printed: cobatrain, trl, verl or ledger.")
    ] = "cobatrain",
    jobs: JobsOption = None,
    out: Annotated[
        str | None, typer.Option(help="Folder for a page to send on.", show_default="no page")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Recommend an allocator for your own run, often uniform, and say how sure that is."""
    from cobasim.data import read_measured
    from cobasim.experiments import advice as asking
    from cobasim.records import read_run

    sources = {"--pass-rates": pass_rates, "--run": run, "--measured": measured}
    given = [flag for flag, value in sources.items() if value is not None]
    if len(given) != 1:
        raise InputError(
            f"give one of {', '.join(sources)}; {' and '.join(given) or 'none of them'} was given"
        )
    rates = reading.options()
    if pass_rates is None and (reading.given() or {}).keys() - {"seed"}:
        raise InputError("options that say how a file of pass rates is read need --pass-rates FILE")
    asking.check_trainer(trainer)
    sizes = asking.Sizes(batch_size, total_budget, low, high, visits, weighting, pool_size)
    if run is not None:
        case = asking.of_run(read_run(run), sizes)
    elif measured is not None:
        case = asking.of_measured(measured, sizes)
    else:
        pool = read_measured(str(pass_rates), rates)
        case = asking.of_pass_rates(pool, sizes)
        tell(pool)
    if out is not None:
        asking.check_folder(Path(out))
    effort = asking.Effort()
    with (
        interruptible("nothing was written"),
        run_bar("simulated runs", asking.num_runs(case, effort)) as advance,
    ):
        answer = asking.advise(
            case, effort, seed=reading.seed, jobs=jobs, on_finished=lambda: advance(1)
        )
    files = [] if out is None else asking.store(answer, Path(out), command=command_text())
    if as_json:
        snippet = {"trainer": trainer, "text": asking.snippet(answer, trainer)}
        print(json.dumps(answer.to_json() | {"snippet": snippet}))
        return
    say(*asking.lines(answer))
    show(_table(answer))
    say(asking.snippet(answer, trainer), wrap=False)
    if files:
        say_files(dict(zip(("page", "numbers"), files, strict=True)))


def _table(answer: Advice) -> Table:
    table = narrow_table("Points of held-out accuracy minus uniform's")
    for column in ("allocator", "expected", "90 %", "loss", "rollouts saved"):
        table.add_column(column, justify="left" if column == "allocator" else "right")
    for option in answer.options:
        table.add_row(
            option.allocator,
            f"{option.mean:+.2f}",
            f"{option.low:+.2f} to {option.high:+.2f}",
            f"{100 * option.hurts:.0f} %",
            "-" if option.saved is None else f"{100 * option.saved:+.0f} %",
        )
    return table
