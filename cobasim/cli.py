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
import shlex
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from cobasim.allocation import SOLVERS, Limits, describe_allocators, find_allocator
from cobasim.allocation.allocators import prepare
from cobasim.errors import InputError, unknown_name
from cobasim.pass_rate_files import read_pass_rates
from cobasim.records import read_header

if TYPE_CHECKING:
    from cobasim.scores import Interval, Row

app = typer.Typer(
    name="cobasim",
    help="Study, compare and use rollout-budget allocators for RL with verifiable rewards.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

EXPLORER = "explorer.py"  # the app's entry, in the package cobasim_apps
INTERRUPTED = 130  # the exit code of Ctrl-C

JsonFlag = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON only.")]


def main() -> None:
    """Entry point: every expected failure is one line and exit code 2."""
    run_app(app)


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
    from cobasim import comparison
    from cobasim.config import split_settings, validated

    began = time.perf_counter()
    values = comparison.settle(
        preset,
        split_settings(settings or []),
        allocators=None if allocators is None else _names(allocators),
        weightings=_weightings(weighting),
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
    command = shlex.join(["cobasim", *sys.argv[1:]])
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


@app.command()
def sweep(
    param: Annotated[
        list[str] | None,
        typer.Option(
            help="kappa=7,11,15 (a list) or tau=1:64[:log][:int][:LEVELS] (a range): any setting "
            "of the world, the loop or an allocator. May be repeated."
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(help="YAML: param (name: list, or LOW:HIGH text), and options as here."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="grid, random, lhs (Latin hypercube) or sobol.")
    ] = "grid",
    samples: Annotated[int, typer.Option(min=1, help="Points of a sample (not of a grid).")] = 64,
    sample_seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    preset: Annotated[str, typer.Option(help="As for compare.")] = "quick",
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
    backend: Annotated[str, typer.Option(help="loky (processes here) or ray.")] = "loky",
    ray_address: Annotated[
        str | None, typer.Option(help="Of a running Ray cluster; a local one if not given.")
    ] = None,
    out: Annotated[
        str, typer.Option(help="Folder; the same command goes on in it.")
    ] = "runs/sweep",
    dry_run: Annotated[bool, typer.Option(help="Say how many runs, and about how long.")] = False,
    yes: Annotated[bool, typer.Option(help="Allow very many runs.")] = False,
) -> None:
    """Compare allocators at many settings; resumable, one row a run in one table."""
    from cobasim import sweeps
    from cobasim.config import split_settings

    if backend not in ("loky", "ray"):
        raise unknown_name("backend", backend, ("loky", "ray"))
    given = {
        "allocators": None if allocators is None else _names(allocators),
        "weightings": _weightings(weighting),
        "seeds": seeds, "steps": steps, "world": world, "pass_rates": pass_rates,
        "estimator": estimator, "batch_size": batch_size, "total_budget": total_budget,
        "low": low, "high": high,
    }  # fmt: skip
    texts, plain = list(param or []), split_settings(settings or [])
    if file is not None:
        more, held = sweeps.read_plan(Path(file))
        texts, plain = [*more, *texts], held | plain
    parameters = [sweeps.Parameter.parse(text) for text in texts]
    if not parameters:
        raise InputError("nothing to sweep: give --param name=1,2,3, or a --file")
    chosen = {name: value for name, value in given.items() if value is not None}
    wanted = sweeps.points(parameters, method, samples=samples, seed=sample_seed)
    planned = sweeps.Sweep(preset, plain, chosen, tuple(wanted))
    total, folder = planned.num_runs, Path(out)
    if dry_run:
        each = sweeps.seconds_per_run(planned)
        workers = min(jobs or os.cpu_count() or 1, total)
        left = _duration(each * total / workers)
        print(
            f"{len(planned.points)} points, {total} runs; at most about {left} with {workers} "
            f"processes (one run took {each:.2f} s; equal runs are done once)"
        )
        return
    if total > sweeps.MOST_RUNS and not yes:
        raise InputError(f"{total} runs are more than {sweeps.MOST_RUNS}; add --yes to do them")
    began = time.perf_counter()
    sweeps.claim(planned, folder)
    with progress_bar() as progress:
        bar = progress.add_task(f"{len(planned.points)} points", total=total)
        table = sweeps.run_sweep(
            planned,
            folder,
            jobs=jobs,
            backend="ray" if backend == "ray" else "loky",
            ray_address=ray_address,
            on_finished=lambda number: progress.advance(bar, number),
        )
    console = Console()
    names = [parameter.name for parameter in parameters]
    console.print(_sweep_table(sweeps.summary(table, names), names))
    console.print(
        f"\n{total} runs, {time.perf_counter() - began:.1f} s since the start of this command\n"
        f"table   {folder / sweeps.TABLE}\nsummary {folder / sweeps.SUMMARY}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def sensitivity(
    param: Annotated[
        list[str] | None,
        typer.Option(help="Settings to vary, as for sweep; not given: a box of twelve."),
    ] = None,
    method: Annotated[str, typer.Option(help="morris (screening) or sobol (indices).")] = "morris",
    samples: Annotated[
        int, typer.Option(help="N: N (D + 1) points for morris, N (D + 2) for sobol.")
    ] = 16,
    sample_seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    allocators: AllocatorsOption = "uniform,coba",
    seeds: SeedsOption = 2,
    steps: StepsOption = 100,
    world: WorldOption = None,
    weighting: WeightingOption = "both",
    batch_size: BatchOption = 256,
    settings: SettingsOption = None,
    jobs: JobsOption = None,
    out: Annotated[
        str, typer.Option(help="Folder; the same command goes on in it.")
    ] = "runs/sensitivity",
    yes: Annotated[bool, typer.Option(help="Allow very many runs.")] = False,
) -> None:
    """Which settings matter: Morris or Sobol indices of accuracy, area, mixed groups and gain."""
    from cobasim import sensitivity as global_sensitivity
    from cobasim import sweeps
    from cobasim.config import split_settings
    from cobasim.records import own_versions

    names = _names(allocators or "")
    if "uniform" not in names:
        raise InputError("--allocators must include uniform: gains are measured against it")
    chosen = {
        "allocators": names, "weightings": _weightings(weighting), "seeds": seeds,
        "steps": steps, "world": world, "batch_size": batch_size,
    }  # fmt: skip
    varied = [sweeps.Parameter.parse(text) for text in param or global_sensitivity.BOX]
    own = {parameter.name for parameter in varied}
    study = global_sensitivity.plan(
        varied, method, samples, sample_seed, preset="quick",
        settings={"num_prompts": 4096} | split_settings(settings or []),
        chosen={k: v for k, v in chosen.items() if v is not None and k not in own},
    )  # fmt: skip
    total, folder = study.sweep.num_runs, Path(out)
    if total > sweeps.MOST_RUNS and not yes:
        raise InputError(f"{total} runs are more than {sweeps.MOST_RUNS}; add --yes to do them")
    sweeps.claim(study.sweep, folder)
    with progress_bar() as progress:
        bar = progress.add_task(f"{len(study.sweep.points)} points", total=total)
        table = sweeps.run_sweep(
            study.sweep, folder, jobs=jobs, on_finished=lambda n: progress.advance(bar, n)
        )
    rows = table.to_pylist()
    found = global_sensitivity.analyse(study, rows)
    command = shlex.join(["cobasim", *sys.argv[1:]])
    global_sensitivity.store(study, rows, found, folder, command=command, versions=own_versions())
    console = Console()
    for per, group in found["indices"].items():
        for name, metrics in group.items():
            if "minus_uniform" in metrics:
                console.print(_index_table(name, per, metrics, method))
    console.print(
        f"{total} runs\nreport  {folder / global_sensitivity.REPORT}\n"
        f"numbers {folder / global_sensitivity.NUMBERS}",
        highlight=False,
        soft_wrap=True,
    )


def _index_table(allocator: str, weighting: str, metrics: dict[str, Any], method: str) -> Table:
    shown = {"minus_uniform": "minus uniform", "final_heldout": "held-out", "auc": "area"}
    shown["effective_ratio"] = "mixed"
    what = "mu*, points" if method == "morris" else "total index"
    table = Table(
        title=f"{allocator}, loss weighted per {weighting}: {what}, ± half of a 95 % interval",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("setting")
    for text in shown.values():
        table.add_column(text, justify="right")
    by_metric = {name: {row["name"]: row for row in metrics[name]} for name in shown}
    for row in metrics["minus_uniform"]:
        cells = [by_metric[name][row["name"]] for name in shown]
        table.add_row(
            row["name"], *(f"{cell['total']:.2f} ± {cell['total_half']:.2f}" for cell in cells)
        )
    return table


@app.command()
def calibrate(
    runs: Annotated[
        list[str], typer.Argument(help="Folders of real runs, or archives of them (.jsonl.gz).")
    ],
    pass_rates: PassRatesOption = None,
    world: Annotated[
        Literal["logistic", "skill-chain", "both"], typer.Option(help="Which worlds are fitted.")
    ] = "logistic",
    model: Annotated[
        list[str] | None, typer.Option(help="Which models are fitted; not given: all.")
    ] = None,
    samples: Annotated[int, typer.Option(min=2, help="Settings tried of each model.")] = 128,
    refine: Annotated[int, typer.Option(min=0, help="Steps of refinement after that.")] = 60,
    seeds: SeedsOption = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample and the bootstrap.")] = 0,
    jobs: JobsOption = None,
    out: Annotated[str, typer.Option(help="Folder of the report.")] = "runs/calibration",
) -> None:
    """Fit the worlds to real runs with uniform budgets; predict the adaptive ones unseen."""
    from cobasim import calibrate as calibration
    from cobasim.records import own_versions

    found = calibration.Real.of(calibration.read_runs([Path(run) for run in runs]))
    names = list(model or calibration.MODELS)
    worlds = ["logistic", "skill-chain"] if world == "both" else [world]
    models = []
    with progress_bar() as progress:
        for where in worlds:
            for name in names:
                bar = progress.add_task(f"{where}, {name}", total=samples + refine)
                models.append(
                    calibration.calibrate(
                        found, world=where, model=name, pass_rates=pass_rates, samples=samples,
                        refine=refine, seeds=seeds or 4, jobs=jobs, seed=seed,
                        on_progress=lambda n, bar=bar: progress.advance(bar, n),
                    )
                )  # fmt: skip
    command = shlex.join(["cobasim", *sys.argv[1:]])
    folder = Path(out)
    calibration.store(
        models, found, folder, command=command, versions=own_versions(), pass_rates=pass_rates
    )
    console = Console()
    for one in models:
        console.print(_model_table(one))
        console.print(calibration.sentence(one), highlight=False, soft_wrap=True)
    console.print(
        f"report  {folder / calibration.REPORT}\nnumbers {folder / calibration.NUMBERS}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def _model_table(model: Any) -> Table:
    table = Table(title=f"{model.settings['world']}, {model.name}", box=box.SIMPLE_HEAD)
    for column in ("allocator", "real, points", "predicted", "plausible", "norm", "predicted"):
        justify: Any = "left" if column == "allocator" else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    for one in model.predictions:
        half = "" if one.real_half is None else f" ± {one.real_half:.2f}"
        table.add_row(
            f"{one.allocator} per {one.weighting}",
            f"{one.real:+.2f}{half}",
            f"{one.predicted:+.2f}",
            f"{one.low:+.2f} to {one.high:+.2f}",
            f"{one.norm_real:.2f}",
            f"{one.norm_predicted:.2f}",
        )
    return table


def _sweep_table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> Table:
    """At most 40 rows: those that differ most from uniform, or the first."""
    shown = sorted(rows, key=lambda row: -(row["minus_uniform"] or -1e9))[:40]
    cut = f"; the best {len(shown)} of {len(rows)}" if len(rows) > len(shown) else ""
    table = Table(title=f"Final held-out accuracy, paired by seed{cut}", box=box.SIMPLE_HEAD)
    for name in (*names, "loss per", "allocator", "held-out %", "minus uniform"):
        table.add_column(name, justify="left" if name in ("loss per", "allocator") else "right")
    for row in shown:
        values = [_short(row[name]) for name in names]
        cells = []
        for name, sign in (("heldout", ""), ("minus_uniform", "+")):
            mean, half = row[name], row[f"{name}_±"]
            text = "" if mean is None else f"{mean:{sign}.2f}"
            cells.append(text + ("" if half is None else f" ± {half:.2f}"))
        table.add_row(*values, row["weighting"], row["allocator"], *cells)
    return table


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


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


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _weightings(weighting: str) -> tuple[str, ...]:
    choices = {"rollout": ("rollout",), "prompt": ("prompt",), "both": ("rollout", "prompt")}
    if weighting not in choices:
        raise unknown_name("weighting", weighting, choices)
    return choices[weighting]


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
    from cobasim.benchmark import measure

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


# -- ring ----------------------------------------------------------------------------------


@app.command()
def ring(
    preset: Annotated[
        str, typer.Option(help="quick (20 conditions, 3 seeds) or full (72 conditions, 5 seeds).")
    ] = "quick",
    allocators: Annotated[
        str | None,
        typer.Option(help="Comma-separated names, uniform among them; all if not given."),
    ] = None,
    seeds: SeedsOption = None,
    steps: StepsOption = None,
    oracles: Annotated[
        bool, typer.Option(help="Also run each allocator on the true pass rates.")
    ] = True,
    pass_rates: Annotated[
        str | None, typer.Option(help="File of the measured population; the one in examples/.")
    ] = None,
    settings: SettingsOption = None,
    jobs: JobsOption = None,
    out: Annotated[str, typer.Option(help="Folder; the same command goes on in it.")] = "runs/ring",
    yes: Annotated[bool, typer.Option(help="Allow very many runs.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Every allocator in many conditions at equal rollouts: ranks, differences, tests, one page."""
    from cobasim import ring as rings
    from cobasim import sweeps
    from cobasim.config import split_settings
    from cobasim.records import own_versions

    began = time.perf_counter()
    planned = rings.plan(
        preset, None if allocators is None else _names(allocators), seeds=seeds, steps=steps,
        oracles=oracles, pass_rates=pass_rates, settings=split_settings(settings or []),
    )  # fmt: skip
    total, folder = planned.num_runs, Path(out)
    if total > sweeps.MOST_RUNS and not yes:
        raise InputError(f"{total} runs are more than {sweeps.MOST_RUNS}; add --yes to do them")
    sweeps.claim(planned, folder)
    with progress_bar() as progress:
        bar = progress.add_task(f"{len(planned.points)} points", total=total)
        table = sweeps.run_sweep(
            planned, folder, jobs=jobs, on_finished=lambda n: progress.advance(bar, n)
        )
    result = rings.analyse(rings.outcomes(table.to_pylist()))
    command = shlex.join(["cobasim", *sys.argv[1:]])
    rings.store(result, folder, command=command, versions=own_versions())
    if as_json:
        print(json.dumps(result))
        return
    console = Console()
    for title, one in result["leagues"].items():
        console.print(_league_table(title, one))
    for line in rings.statements(result):
        console.print(line, highlight=False)
    console.print(
        f"\n{total} runs, {time.perf_counter() - began:.1f} s since the start of this command\n"
        f"report  {folder / rings.REPORT}\nnumbers {folder / rings.NUMBERS}\n"
        f"table   {folder / sweeps.TABLE}",
        highlight=False,
        soft_wrap=True,
    )


def _league_table(title: str, league: dict[str, Any]) -> Table:
    """One league for the terminal; the page says more."""
    from cobasim import ring as rings

    per = "both weightings" if title == "both" else f"loss weighted per {title}"
    table = Table(
        title=f"{per}, {league['conditions']} conditions; points at equal rollouts, ± half of a\n"
        "95 % interval; b/l/i: conditions beaten, lost, inside the noise; gap: to its oracle;\n"
        "*: not told apart from the best by ranks",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("allocator", no_wrap=True)
    for column in (
        "mean\nrank", "minus\nuniform", "\nb/l/i", "never\nbelow", "minus\ncoba", "\nb/l/i",
        "\ngap",
    ):  # fmt: skip
        table.add_column(column, justify="right", no_wrap=True)
    for row in league["rows"]:
        coba, gap = row.get("minus_coba"), row["oracle_gap"]
        table.add_row(
            row["allocator"],
            f"{row['mean_rank']:.2f}{'*' if row['near_best'] else ' '}",
            rings.points(row["minus_uniform"]).replace(" ", ""),
            rings.counts(row, "uniform").replace(" ", ""),
            rings.never_below(row).partition(":")[0],
            f"{100 * coba['mean']:+.2f}" if coba else "-",
            rings.counts(row, "coba").replace(" ", ""),
            f"{100 * gap['mean']:+.2f}" if gap else "-",
        )
    return table


# -- study ---------------------------------------------------------------------------------


@app.command()
def study(
    name: Annotated[str | None, typer.Argument(help="Which; not given: all are listed.")] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the studies.")] = False,
    preset: Annotated[str, typer.Option(help="quick, full, or tiny (only shows it works).")] = (
        "quick"
    ),
    allocators: Annotated[
        str | None, typer.Option(help="Further allocators, comma-separated, where it compares.")
    ] = None,
    jobs: JobsOption = None,
    out: Annotated[
        str | None, typer.Option(help="Folder; the same command goes on in it. runs/study-NAME.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Answer a question that the CoBA paper leaves open: a plan, a report, a conclusion."""
    from cobasim import studies

    if name is None or list_them:
        rows = {one.name: one.question for one in studies.STUDIES.values()}
        if as_json:
            print(json.dumps(rows))
            return
        for one, question in rows.items():
            print(f"{one:10} {question}")
        return
    chosen = studies.find_study(name)
    options = studies.Options(studies.find_preset(preset), _names(allocators or ""))
    folder = Path(out or f"runs/study-{chosen.name}-{preset}")
    began = time.perf_counter()
    planned = studies.claim(chosen, options, folder)
    with progress_bar() as progress:
        total = sum(one.num_runs for one in planned.values())
        bar = progress.add_task(chosen.name, total=total or None)
        _, answer = studies.run_study(
            chosen, options, folder, planned,
            jobs=jobs, on_finished=lambda number: progress.advance(bar, number),
        )  # fmt: skip
    command = shlex.join(["cobasim", *sys.argv[1:]])
    files = studies.store(chosen, options, folder, planned, answer, command=command)
    if as_json:
        print(json.dumps({"study": chosen.name, "conclusion": answer.conclusion}))
        return
    console = Console()
    console.print(chosen.question, style="bold", highlight=False)
    for line in answer.conclusion:
        console.print(f"- {line}", highlight=False, markup=False)
    console.print(f"\n{total} runs, {time.perf_counter() - began:.1f} s", highlight=False)
    for file in files:
        print(file)


# -- learn ---------------------------------------------------------------------------------


@app.command()
def learn(
    out: Annotated[str, typer.Option(help="New file, used as learned:FILE.")],
    timesteps: Annotated[int, typer.Option(min=1, help="Steps of the environment.")] = 80_000,
    weighting: Annotated[
        Literal["rollout", "prompt"], typer.Option(help="Weight of a prompt in the loss.")
    ] = "rollout",
    world: WorldOption = None,
    steps: StepsOption = None,
    batch_size: BatchOption = None,
    total_budget: BudgetOption = None,
    low: LowOption = None,
    high: HighOption = None,
    estimator: EstimatorOption = None,
    settings: SettingsOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the network and of PPO.")] = 0,
) -> None:
    """Train an allocator by PPO in small simulated runs; needs the extra learn."""
    from cobasim import learn as learning
    from cobasim.config import split_settings
    from cobasim.records import write_atomically
    from cobasim.scores import mean_interval

    file = Path(out)
    if file.exists():
        raise InputError(f"{file} exists and is not overwritten: choose another --out")
    if not file.parent.is_dir():
        raise InputError(f"{file.parent} is no folder: make it first, or choose another --out")
    config = learning.cheap_config(
        split_settings(settings or []),
        weighting=weighting,
        world=world,
        steps=steps,
        batch_size=batch_size,
        total_budget=total_budget,
        low=low,
        high=high,
        estimator=estimator,
    )
    with progress_bar("steps") as progress:
        bar = progress.add_task("training", total=timesteps)

        def show(done: int, reward: float | None) -> None:
            text = "training" if reward is None else f"{reward:+.2f} points above uniform"
            progress.update(bar, completed=min(done, timesteps), description=text)

        found = learning.train(
            config,
            timesteps=timesteps,
            seed=seed,
            command=shlex.join(["cobasim", *sys.argv[1:]]),
            on_progress=show,
        )
    write_atomically(file, found.network.to_json())
    for when, values in (("before", found.before), ("after", found.after)):
        interval = mean_interval(values)
        assert interval.low is not None
        print(
            f"{when:6} training: {interval.mean:+.2f} points above uniform (95 % interval "
            f"{interval.low:+.2f} to {interval.high:+.2f}), {values.size} seeds not trained on"
        )
    print(f"written to {file}; use it as learned:{file}")


# -- reproduce -----------------------------------------------------------------------------


@app.command()
def reproduce(
    preset: Annotated[
        str,
        typer.Option(help="quick (a minute) or full (the paper's size, below ten minutes)."),
    ] = "quick",
    jobs: JobsOption = None,
    out: Annotated[
        str | None,
        typer.Option(help="Folder; the same command goes on in it. runs/reproduce-PRESET."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """The tables and figures of arXiv 2602.03048 beside the simulation's, as HTML and JSON."""
    from cobasim import reproduction

    chosen = reproduction.find_preset(preset)
    folder = Path(out or f"runs/reproduce-{preset}")
    began = time.perf_counter()
    total = reproduction.sweep_of(chosen)[0].num_runs
    with progress_bar() as progress:
        bar = progress.add_task("simulating", total=total)
        content = reproduction.reproduce(
            chosen,
            folder,
            command=shlex.join(["cobasim", *sys.argv[1:]]),
            jobs=jobs,
            on_finished=lambda number: progress.advance(bar, number),
        )
    if as_json:
        print(json.dumps(content))
        return
    console = Console()
    console.print(_summary_table(content["summary"]))
    for line in (*content["headline"], content["table-4"]["words"]):
        console.print(line, highlight=False)
    console.print(
        f"\n{content['runs']} runs, {time.perf_counter() - began:.1f} s since the start of this "
        f"command\nreport  {folder / reproduction.REPORT}\n"
        f"numbers {folder / reproduction.NUMBERS}",
        highlight=False,
        soft_wrap=True,
    )


def _summary_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        title="Claims of the paper that agree / disagree / are inside the noise, and Kendall's tau",
        box=box.SIMPLE_HEAD,
    )
    by_result: dict[str, list[str]] = {}
    for row in rows:
        tau = "" if row["tau"] is None else f"  {row['tau']:+.2f}"
        counts = f"{row['agrees']} / {row['disagrees']} / {row['inside the noise']}{tau}"
        by_result.setdefault(row["title"].partition(":")[0], []).append(counts)
    combinations = dict.fromkeys((row["world"], row["weighting"]) for row in rows)
    table.add_column("")
    for world, weighting in combinations:
        table.add_column(f"{world}\nper {weighting}", justify="right")
    for name, cells in by_result.items():
        table.add_row(name, *cells)
    return table
