"""The ``cobasim`` command. Only this module prints; everything else returns values.

    cobasim compare      compare allocators in the synthetic world (the main job)
    cobasim sweep        compare at many settings, resumable, one table
    cobasim sensitivity  which settings matter: Morris, Sobol
    cobasim calibrate    fit the worlds to real runs, and predict others
    cobasim ring         every allocator in many conditions, ranked
    cobasim reproduce    the CoBA-RL paper's tables and figures, beside the simulation's
    cobasim allocate     budgets for a file of pass rates
    cobasim allocators   what there is to choose from
    cobasim explore      the what-if app in the browser
    cobasim learn        train an allocator by reinforcement learning
    cobasim benchmark    what allocation costs
    cobasim study        questions that the CoBA paper leaves open

Bad input gives one line on standard error and exit code 2.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from cobasim.allocation import SOLVERS, Limits, describe_allocators, find_allocator, prepare
from cobasim.cli.common import (
    AllocatorsOption,
    BatchOption,
    BudgetOption,
    EstimatorOption,
    HighOption,
    JobsOption,
    JsonFlag,
    LowOption,
    PassRatesOption,
    SeedsOption,
    SettingsOption,
    StepsOption,
    WeightingOption,
    WorldOption,
    allocator_list,
    app,
    command_text,
    progress_bar,
    run_app,
    weighting_list,
)
from cobasim.data import read_pass_rates
from cobasim.errors import InputError
from cobasim.records import read_header

if TYPE_CHECKING:
    from cobasim.scores import Interval, Row


EXPLORER = "explorer.py"  # the app's entry, in the package cobasim_apps


def main() -> None:
    """Entry point: every expected failure is one line and exit code 2."""
    run_app(app)


# -- allocate ------------------------------------------------------------------------------


@app.command()
def allocate(
    file: Annotated[
        str,
        typer.Argument(
            help="Pass rates: .json (a list), .csv or .parquet (a column pass_rate), .npy, or - "
            "for standard input."
        ),
    ],
    total_budget: Annotated[int, typer.Option(help="Rollouts to spend in all.")],
    allocator: Annotated[str, typer.Option(help="See `cobasim allocators`.")] = "coba",
    low: Annotated[int, typer.Option(help="Fewest rollouts of a prompt.")] = 2,
    high: Annotated[int, typer.Option(help="Most rollouts of a prompt.")] = 128,
    failure_rate: Annotated[
        float | None, typer.Option(help="Global failure rate; 1 - mean pass rate if not given.")
    ] = None,
    kappa: Annotated[float | None, typer.Option(help="alpha + beta (coba).")] = None,
    gamma: Annotated[float | None, typer.Option(help="Steepness of Eq. 6 (coba).")] = None,
    tau: Annotated[float | None, typer.Option(help="Saturation scale of Eq. 8.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Hold alpha at this value.")] = None,
    beta: Annotated[float | None, typer.Option(help="Second shape parameter (fixed).")] = None,
    progress: Annotated[float, typer.Option(help="Share of the run that is done.")] = 0.0,
    solver: Annotated[str, typer.Option(help=f"One of {', '.join(SOLVERS)}.")] = "threshold",
    as_json: JsonFlag = False,
) -> None:
    """Budgets for a file of pass rates: how many rollouts each prompt should get."""
    given = {"kappa": kappa, "gamma": gamma, "tau": tau, "alpha": alpha, "beta": beta}
    rates = read_pass_rates(file)
    obs, built = prepare(
        rates,
        allocator=allocator,
        failure_rate=failure_rate,
        solver=solver,
        progress=progress,
        **{name: value for name, value in given.items() if value is not None},
    )
    budgets = built(obs, Limits(total_budget, low, high))
    shape = built.shape(obs)
    if as_json:
        print(
            json.dumps(
                {
                    "budgets": budgets.tolist(),
                    "alpha": shape and shape[0],
                    "beta": shape and shape[1],
                    "total": int(budgets.sum()),
                }
            )
        )
        return
    table = Table(title=f"{allocator}: {budgets.sum()} rollouts over {budgets.size} prompts")
    for column in ("pass rate", "prompts", "rollouts", "share of budget", "mean", "min", "max"):
        table.add_column(column, justify="right")
    edges = [-1.0, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0 - 1e-12, 1.0]
    names = ["0", "to 0.2", "to 0.4", "to 0.6", "to 0.8", "below 1", "1"]
    for name, above, upto in zip(names, edges[:-1], edges[1:], strict=True):
        part = budgets[(rates > above) & (rates <= upto)]
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
    Console().print(table)
    if shape is not None:
        print(f"preference density: Beta({shape[0]:.2f}, {shape[1]:.2f})")
    print("budgets in the order of the file: add --json")


# -- explore -------------------------------------------------------------------------------


@app.command()
def explore(
    runs: Annotated[
        str, typer.Option(help="Folder below which runs are looked for, and saved.")
    ] = "runs",
    run: Annotated[str | None, typer.Option(help="Folder of a run to open first.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Address to listen on; the app has no password.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    allocator: Annotated[
        list[str] | None,
        typer.Option(
            help="Offer an allocator of your own, module:Class, beside ours. May be repeated."
        ),
    ] = None,
) -> None:
    """Open the what-if app in the browser; Ctrl-C ends it."""
    missing = [name for name in ("streamlit", "cobasim_apps") if find_spec(name) is None]
    if missing:
        raise InputError(f"{missing[0]} is not installed; pip install 'coba-testbed[app]'")
    if run is not None:
        read_header(run)
    for name in allocator or []:
        find_allocator(name)
    found = find_spec("cobasim_apps")
    assert found is not None
    assert found.origin is not None
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError) as error:
            raise InputError(f"cannot listen on {address}:{port} ({error}); try --port") from None
    options = {
        "server.address": address,
        "server.port": port,
        "server.headless": str(not browser).lower(),
        "server.showEmailPrompt": "false",  # it would wait for an answer at the first start
        "server.maxUploadSize": 20,
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "server.fileWatcherType": "none",
    }
    command = [sys.executable, "-m", "streamlit", "run", str(Path(found.origin).parent / EXPLORER)]
    command += [f"--{name}={value}" for name, value in options.items()]
    command += ["--", "--runs", runs, *([] if run is None else ["--run", run])]
    command += [f"--allocator={name}" for name in allocator or []]
    sys.stdout.flush()
    os.execv(sys.executable, command)  # it says the address; nothing is left behind when it ends


# -- allocators ----------------------------------------------------------------------------


@app.command()
def allocators(as_json: JsonFlag = False) -> None:
    """Every allocator: what it does, its source, its parameters with defaults and bounds."""
    rows = describe_allocators()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    console = Console()
    for row in rows:
        console.print(f"[bold]{row['name']}[/bold]  {row['summary']}", highlight=False)
        console.print(f"    source: {row['source']}", highlight=False, markup=False)
        for described in row["parameters"]:
            default = "derived" if described["default"] is None else described["default"]
            console.print(
                f"    {described['name']} = {default}{_bounds(described)}: {described['doc']}",
                highlight=False,
                markup=False,
            )
    console.print("Each also as oracle-NAME in a simulation: shown the true pass rates.")
    console.print("Your own by import path, module:Class; a trained one as learned:FILE.")


def _bounds(described: dict[str, Any]) -> str:
    if "choices" in described:
        return f" ({' | '.join(described['choices'])})"
    signs = (("above", ">"), ("at_least", ">="), ("at_most", "<="))
    bounds = [f"{sign} {described[key]:g}" for key, sign in signs if key in described]
    return f" ({', '.join(bounds)})" if bounds else ""


# -- compare -------------------------------------------------------------------------------


@app.command()
def compare(
    preset: Annotated[
        str, typer.Option(help="quick (under a minute) or paper (500 steps, 16 seeds, all).")
    ] = "quick",
    allocators: AllocatorsOption = None,
    seeds: SeedsOption = None,
    steps: StepsOption = None,
    world: WorldOption = None,
    weighting: WeightingOption = "both",
    pass_rates: PassRatesOption = None,
    estimator: EstimatorOption = None,
    batch_size: BatchOption = None,
    total_budget: BudgetOption = None,
    low: LowOption = None,
    high: HighOption = None,
    settings: SettingsOption = None,
    jobs: JobsOption = None,
    out: Annotated[
        str | None, typer.Option(help="New folder for runs and report; runs/compare-TIME.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare allocators in the synthetic world, paired by seed, at equal rollouts."""
    from cobasim.runs import comparison
    from cobasim.settings import split_settings, validated

    began = time.perf_counter()
    values = comparison.settle(
        preset,
        split_settings(settings or []),
        allocators=None if allocators is None else allocator_list(allocators),
        weightings=weighting_list(weighting),
        seeds=seeds,
        steps=steps,
        world=world,
        pass_rates=pass_rates,
        estimator=estimator,
        batch_size=batch_size,
        total_budget=total_budget,
        low=low,
        high=high,
    )
    config = comparison.with_pool(validated(comparison.CompareConfig, values))
    folder = Path(out or f"runs/compare-{datetime.now():%Y%m%d-%H%M%S}")
    comparison.claim(folder)
    with progress_bar() as progress:
        bar = progress.add_task(
            f"{config.world.world} world, {config.loop.steps} steps a run", total=config.num_runs
        )
        runs = comparison.run_all(
            config, folder, jobs=jobs, on_finished=lambda: progress.advance(bar)
        )
    result = comparison.score(config, runs)
    command = command_text()
    comparison.store(result, folder, command=command)
    if as_json:
        print(json.dumps(result.to_json()))
        return
    console = Console()
    for table in comparison_tables(result.rows):
        console.print(table)
    for line in result.statements:
        console.print(line, highlight=False)
    steps_done = sum(run.steps[-1].step for run in runs)
    console.print(
        f"\n{len(runs)} runs, {steps_done:,} steps in {time.perf_counter() - began:.1f} s\n"
        f"report  {folder / comparison.REPORT}\nnumbers {folder / comparison.NUMBERS}\n"
        f"runs    {folder}/<weighting>/<allocator>/<seed>",
        highlight=False,
        soft_wrap=True,
    )


def comparison_tables(rows: Sequence[Row]) -> list[Table]:
    """A comparison for the terminal: accuracy under all weightings, then details of each."""
    by_weighting: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_weighting.setdefault(row.weighting, {})[row.allocator] = row
    headline = Table(
        title="Held-out accuracy at the end, %, and its difference to uniform in points\n"
        "(± half the 95 % interval, paired by seed); loss weighted per rollout, per prompt",
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    headline.add_column("allocator", no_wrap=True)
    for weighting in by_weighting:
        headline.add_column(f"{weighting} %", justify="right", no_wrap=True)
        headline.add_column("- uniform", justify="right", no_wrap=True)
    for name in dict.fromkeys(row.allocator for row in rows):
        cells = [name]
        for group in by_weighting.values():
            found = group.get(name)
            cells.append(_percent(found.heldout if found else None))
            cells.append("baseline" if found and found.baseline else _points(found))
        headline.add_row(*cells)
    return [headline, *(_details(name, group) for name, group in by_weighting.items())]


def _details(weighting: str, group: dict[str, Row]) -> Table:
    detail = Table(
        title=f"Details, loss weighted per {weighting}\n"
        "(match: million rollouts to reach uniform's final accuracy)",
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    detail.add_column("allocator", no_wrap=True)
    for column in (
        "hard\nset %",
        "curve\narea %",
        "match\nM",
        "mixed\n%",
        "never\nmixed %",
        "Gini",
        "alloc.\nms",
    ):
        detail.add_column(column, justify="right", no_wrap=True)
    for name, scored in group.items():
        detail.add_row(
            name,
            _percent(scored.hard),
            _percent(scored.auc),
            _reach(scored),
            _plain(scored.effective_ratio, 100, 1),
            _plain(scored.never_mixed, 100, 1),
            _plain(scored.budget_gini, 1, 2),
            _plain(scored.allocate_ms, 1, 2),
        )
    return detail


def _percent(interval: Interval | None) -> str:
    return "-" if interval is None else f"{100 * interval.mean:.2f}"


def _points(row: Row | None) -> str:
    difference = row.heldout_difference if row else None
    if difference is None:
        return "-"
    if difference.low is None or difference.high is None:
        return f"{100 * difference.mean:+.2f}"
    half = 50 * (difference.high - difference.low)
    return f"{100 * difference.mean:+.2f} ± {half:.2f}"


def _plain(value: float | None, scale: float, digits: int) -> str:
    return "-" if value is None else f"{scale * value:.{digits}f}"


def _reach(row: Row) -> str:
    if row.rollouts_to_baseline is None:
        return "never"
    share = row.reached_baseline
    seeds = "" if share is None or share == 1.0 else f" ({share:.0%})"
    return f"{row.rollouts_to_baseline / 1e6:.2f}{seeds}"


# -- benchmark -----------------------------------------------------------------------------


@app.command()
def benchmark(
    size: Annotated[
        Literal["full", "small"], typer.Option(help="small leaves out the million prompts.")
    ] = "full",
    as_json: JsonFlag = False,
) -> None:
    """What allocation and a simulated step cost, beside their floors, measured in one run."""
    from cobasim.experiments.benchmark.benchmark import measure

    result = measure(million=size == "full")
    if as_json:
        print(json.dumps(asdict(result), indent=2))
        return
    console = Console()
    table = Table(title="Time of allocation (CoBA value function included), medians")
    for column in ("case", "prompts", "rollouts", "solver", "milliseconds", "against"):
        table.add_column(column, justify="left" if column in ("case", "solver") else "right")
    for row in result.solvers:
        against = "" if row.ratio is None else f"{row.ratio:.1f} x {row.reference}"
        table.add_row(
            row.case,
            f"{row.prompts:,}",
            f"{row.rollouts:,}",
            row.solver,
            f"{row.milliseconds:.3f}",
            against,
        )
    console.print(table)
    for line in result.sentences():
        console.print(line, highlight=False)


# -- study ---------------------------------------------------------------------------------


# -- reproduce -----------------------------------------------------------------------------


from cobasim.cli import studies  # noqa: E402, F401  (its commands follow in the list)
