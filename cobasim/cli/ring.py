"""``cobasim ring``: every allocator in many conditions, ranked."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cobasim.cli.common import JsonFlag, command_text
from cobasim.cli.options import (
    AS_MEASURED,
    JobsOption,
    ResumeOption,
    SettingsOption,
    YesFlag,
    allocator_list,
    plain_settings,
)
from cobasim.cli.output import narrow_table, resumable, run_experiment, say, say_files, show
from cobasim.cli.reading import ReadingOptions, tell


@dataclass(frozen=True)
class RingOptions:
    """Who takes part, and in which conditions."""

    preset: Annotated[
        str,
        typer.Option(
            help="quick (20 conditions, 3 seeds) or full (72 conditions, 5 seeds); "
            "14 and 30 at most in a measured world."
        ),
    ] = "quick"
    allocators: Annotated[
        str | None,
        typer.Option(help="Comma-separated names, uniform among them.", show_default="all"),
    ] = None
    seeds: Annotated[
        int | None, typer.Option(help="Number of seeds.", show_default="3; preset full: 5")
    ] = None
    steps: Annotated[
        int | None,
        typer.Option(help="Policy updates in a run.", show_default=f"150; {AS_MEASURED}"),
    ] = None
    oracles: Annotated[
        bool, typer.Option(help="Also run each allocator on the true pass rates.")
    ] = True
    pass_rates: Annotated[
        str | None,
        typer.Option(
            help="File of the measured population.",
            show_default="examples/pass_rates_tiny_lm.csv, which is part of the package",
        ),
    ] = None
    world: Annotated[
        str | None,
        typer.Option(
            help="measured:FILE: conditions are changes of the run that was measured.",
            show_default="the logistic and the skill-chain world",
        ),
    ] = None
    settings: SettingsOption = None

    @property
    def names(self) -> tuple[str, ...]:
        """Those who take part."""
        from cobasim.allocation import ALLOCATORS

        return tuple(ALLOCATORS) if self.allocators is None else allocator_list(self.allocators)


def ring(
    options: RingOptions,
    reading: ReadingOptions,
    jobs: JobsOption = None,
    out: ResumeOption = "runs/ring",
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Every allocator in many conditions at equal rollouts: ranks, differences, tests, one page."""
    from cobasim.experiments import ring as rings
    from cobasim.runs import TABLE, measured_pool

    began = time.perf_counter()
    pool = measured_pool(options.pass_rates, reading.options())
    plan = rings.plan(
        options.preset,
        options.names,
        seeds=options.seeds,
        steps=options.steps,
        oracles=options.oracles,
        pass_rates=options.pass_rates,
        reading=reading.given(),
        settings=plain_settings(options.settings),
        world=options.world,
    )
    folder = Path(out)
    tell(pool)
    if options.world is not None:
        _tell_left_out(options)
    with resumable(folder):
        rows = run_experiment(plan, folder, yes=yes, jobs=jobs, measure=rings.measure)
        result = rings.analyse(rings.read_outcomes(rows))
        report, numbers = rings.store(result, folder, command=command_text())
    if as_json:
        print(json.dumps(result))
        return
    show(*(_league_table(title, league) for title, league in result["leagues"].items()))
    say(*rings.statements(result))
    seconds = time.perf_counter() - began
    say(f"\n{len(rows)} runs, {seconds:.1f} s since the start of this command", wrap=False)
    say_files({"report": report, "numbers": numbers, "table": folder / TABLE})


def _tell_left_out(options: RingOptions) -> None:
    """Say which conditions a measured world does not run, on standard error."""
    from cobasim.experiments import ring as rings

    assert options.world is not None
    found = rings.measured_conditions(
        options.preset,
        options.world,
        options.names,
        options.steps,
        plain_settings(options.settings),
    )
    print(f"left out: conditions that vary {', '.join(rings.ABSENT)}", file=sys.stderr)
    for line in found.left_out:
        print(f"left out: {line}", file=sys.stderr)


def _league_table(title: str, league: dict[str, Any]) -> Table:
    """One league for the terminal; the page says more."""
    from cobasim.experiments.ring import counts, never_below, points

    per = "both weightings" if title == "both" else f"loss weighted per {title}"
    table = narrow_table(
        f"{per}, {league['conditions']} conditions\npoints at equal rollouts, ± half of a "
        "95 % interval; b/l/n: conditions\nbeaten, lost, not significant; gap: to its oracle; "
        "*: tied with\nthe best by rank"
    )
    table.add_column("allocator", no_wrap=True)
    for column in (
        "mean\nrank", "minus\nuniform", "\nb/l/n", "never\nbelow", "minus\ncoba", "\nb/l/n",
        "\ngap",
    ):  # fmt: skip
        table.add_column(column, justify="right", no_wrap=True)
    for row in league["rows"]:
        coba, gap = row.get("minus_coba"), row["oracle_gap"]
        table.add_row(
            row["allocator"],
            f"{row['mean_rank']:.2f}{'*' if row['near_best'] else ' '}",
            points(row["minus_uniform"]).replace(" ", ""),
            counts(row, "uniform").replace(" ", ""),
            never_below(row).partition(":")[0],
            f"{100 * coba['mean']:+.2f}" if coba else "-",
            counts(row, "coba").replace(" ", ""),
            f"{100 * gap['mean']:+.2f}" if gap else "-",
        )
    return table
