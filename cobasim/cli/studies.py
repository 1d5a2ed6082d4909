"""The commands of many runs: sweep, sensitivity, calibrate, ring, study, reproduce, learn."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table

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
    duration,
    progress_bar,
    short,
    weighting_list,
)
from cobasim.errors import InputError, unknown_name

if TYPE_CHECKING:
    import pyarrow as pa

    from cobasim.runs.sweep import Sweep


def _run(planned: Sweep, folder: Path, total: int, *, yes: bool, **options: Any) -> pa.Table:
    """Do what is missing of a plan of ``total`` runs, with a bar; ``options`` as ``run_sweep``."""
    from cobasim.runs import sweep as sweeps

    if total > sweeps.MOST_RUNS and not yes:
        raise InputError(f"{total} runs are more than {sweeps.MOST_RUNS}; add --yes to do them")
    sweeps.claim(planned, folder)
    with progress_bar() as progress:
        bar = progress.add_task(f"{len(planned.points)} points", total=total)
        return sweeps.run_sweep(
            planned, folder, on_finished=lambda number: progress.advance(bar, number), **options
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
    from cobasim.runs import sweep as sweeps
    from cobasim.settings import split_settings

    if backend not in ("loky", "ray"):
        raise unknown_name("backend", backend, ("loky", "ray"))
    given = {
        "allocators": None if allocators is None else allocator_list(allocators),
        "weightings": weighting_list(weighting),
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
        left = duration(each * total / workers)
        print(
            f"{len(planned.points)} points, {total} runs; at most about {left} with {workers} "
            f"processes (one run took {each:.2f} s; equal runs are done once)"
        )
        return
    began = time.perf_counter()
    table = _run(
        planned, folder, total, yes=yes, jobs=jobs, backend=backend, ray_address=ray_address
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
        typer.Option(help="Settings to vary, as for sweep; not given: a box of thirteen."),
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
    from cobasim.experiments.sensitivity import sensitivity as global_sensitivity
    from cobasim.records import own_versions
    from cobasim.runs import sweep as sweeps
    from cobasim.settings import split_settings

    names = allocator_list(allocators or "")
    if "uniform" not in names:
        raise InputError("--allocators must include uniform: gains are measured against it")
    chosen = {
        "allocators": names, "weightings": weighting_list(weighting), "seeds": seeds,
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
    rows = _run(study.sweep, folder, total, yes=yes, jobs=jobs).to_pylist()
    found = global_sensitivity.analyse(study, rows)
    command = command_text()
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
    from cobasim.experiments.calibration import calibrate as calibration
    from cobasim.records import own_versions

    found = calibration.Real.of(calibration.read_runs([Path(run) for run in runs]))
    names = list(model or calibration.MODELS)
    worlds = ["logistic", "skill-chain"] if world == "both" else [world]
    models = []
    with progress_bar() as progress:
        for where in worlds:
            for name in names:
                bar = progress.add_task(f"{where}, {name}", total=samples + refine)
                advance: Callable[[int], None] = partial(progress.advance, bar)
                models.append(
                    calibration.calibrate(
                        found, world=where, model=name, pass_rates=pass_rates, samples=samples,
                        refine=refine, seeds=seeds or 4, jobs=jobs, seed=seed,
                        on_progress=advance,
                    )
                )  # fmt: skip
    command = command_text()
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
    table = Table(
        title=f"{model.settings['world']}, {model.name}: points minus uniform, and norm over its",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
    )
    for column in ("allocator", "real", "predicted", "plausible", "norm", "predicted"):
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
        values = [short(row[name]) for name in names]
        cells = []
        for name, sign in (("heldout", ""), ("minus_uniform", "+")):
            mean, half = row[name], row[f"{name}_±"]
            text = "" if mean is None else f"{mean:{sign}.2f}"
            cells.append(text + ("" if half is None else f" ± {half:.2f}"))
        table.add_row(*values, row["weighting"], row["allocator"], *cells)
    return table


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
    from cobasim.experiments.ring import ring as rings
    from cobasim.records import own_versions
    from cobasim.runs import sweep as sweeps
    from cobasim.settings import split_settings

    began = time.perf_counter()
    planned = rings.plan(
        preset, None if allocators is None else allocator_list(allocators),
        seeds=seeds, steps=steps,
        oracles=oracles, pass_rates=pass_rates, settings=split_settings(settings or []),
    )  # fmt: skip
    total, folder = planned.num_runs, Path(out)
    table = _run(planned, folder, total, yes=yes, jobs=jobs, measure=rings.measure)
    result = rings.analyse(rings.outcomes(table.to_pylist()))
    command = command_text()
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
    from cobasim.experiments.ring import ring as rings

    per = "both weightings" if title == "both" else f"loss weighted per {title}"
    table = Table(
        title=f"{per}, {league['conditions']} conditions\npoints at equal rollouts, ± half of a "
        "95 % interval; b/l/i: conditions\nbeaten, lost, inside the noise; gap: to its oracle; "
        "*: not told\napart from the best by ranks",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=0,  # the box sets columns apart: eight of them fit into 80 characters
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
    from cobasim.experiments import studies

    if name is None or list_them:
        rows = {one.name: one.question for one in studies.STUDIES.values()}
        if as_json:
            print(json.dumps(rows))
            return
        for one, question in rows.items():
            print(f"{one:10} {question}")
        return
    chosen = studies.find_study(name)
    options = studies.Options(studies.find_preset(preset), allocator_list(allocators or ""))
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
    command = command_text()
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
    from cobasim.gym import cheap_config, train
    from cobasim.records import write_atomically
    from cobasim.scores import mean_interval
    from cobasim.settings import split_settings

    file = Path(out)
    if file.exists():
        raise InputError(f"{file} exists and is not overwritten: choose another --out")
    if not file.parent.is_dir():
        raise InputError(f"{file.parent} is no folder: make it first, or choose another --out")
    config = cheap_config(
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

        found = train(
            config,
            timesteps=timesteps,
            seed=seed,
            command=command_text(),
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
    from cobasim.experiments import reproduction

    chosen = reproduction.find_preset(preset)
    folder = Path(out or f"runs/reproduce-{preset}")
    began = time.perf_counter()
    total = reproduction.sweep_of(chosen)[0].num_runs
    with progress_bar() as progress:
        bar = progress.add_task("simulating", total=total)
        content = reproduction.reproduce(
            chosen,
            folder,
            command=command_text(),
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
