"""``cobasim sweep``: a comparison at many settings."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from cobasim.cli.options import (
    ComparedOptions,
    JobsOption,
    ResumeOption,
    RunOptions,
    SampleSeedOption,
    YesFlag,
)
from cobasim.cli.output import (
    check_number,
    duration,
    resumable,
    run_bar,
    say,
    say_files,
    short,
    show,
)
from cobasim.cli.reading import ReadingOptions, tell
from cobasim.errors import InputError, unknown_name

if TYPE_CHECKING:
    from cobasim.runs import Parameter, RayCluster, Sweep

MOST_ROWS = 40


@dataclass(frozen=True)
class SampleOptions:
    """Which settings are swept, and at which values."""

    param: Annotated[
        list[str] | None,
        typer.Option(
            help="kappa=7,11,15 (a list) or tau=1:64[:log][:int][:LEVELS] (a range): any setting "
            "of the world, the loop or an allocator. May be repeated.",
            show_default="those of --file",
        ),
    ] = None
    file: Annotated[
        str | None,
        typer.Option(
            help="YAML: param (name: list, or LOW:HIGH text), and set (name: value).",
            show_default="none",
        ),
    ] = None
    method: Annotated[str, typer.Option(help="grid, random, lhs (Latin hypercube) or sobol.")] = (
        "grid"
    )
    samples: Annotated[int, typer.Option(min=1, help="Points of a sample (not of a grid).")] = 64
    sample_seed: SampleSeedOption = 0

    def parsed(self) -> tuple[list[Parameter], dict[str, Any]]:
        """The swept settings, and those that the file holds fixed."""
        from cobasim.runs import Parameter, read_plan

        texts, held = ([], {}) if self.file is None else read_plan(Path(self.file))
        parameters = [Parameter.parse(text) for text in [*texts, *(self.param or [])]]
        if not parameters:
            raise InputError("nothing to sweep: give --param name=1,2,3, or a --file")
        return parameters, held


@dataclass(frozen=True)
class WorkerOptions:
    """Where the runs are executed."""

    jobs: JobsOption = None
    backend: Annotated[str, typer.Option(help="loky (processes of this machine) or ray.")] = "loky"
    ray_address: Annotated[
        str | None,
        typer.Option(help="Address of a running Ray cluster.", show_default="a local one"),
    ] = None

    def ray(self) -> RayCluster | None:
        """Where to run; None: in processes of this machine."""
        from cobasim.runs import RayCluster

        if self.backend not in ("loky", "ray"):
            raise unknown_name("backend", self.backend, ("loky", "ray"))
        return RayCluster(self.ray_address) if self.backend == "ray" else None


def sweep(
    sample: SampleOptions,
    compared: ComparedOptions,
    run: RunOptions,
    reading: ReadingOptions,
    workers: WorkerOptions,
    preset: Annotated[str, typer.Option(help="As for compare.")] = "quick",
    out: ResumeOption = "runs/sweep",
    dry_run: Annotated[bool, typer.Option(help="Say how many runs, and about how long.")] = False,
    yes: YesFlag = False,
) -> None:
    """Compare allocators at many settings; resumable, one row per run in one table."""
    from cobasim import runs

    ray = workers.ray()
    pool = compared.pool(reading)
    parameters, held = sample.parsed()
    settings = {*held, *run.plain(), *(parameter.name for parameter in parameters)}
    given = compared.chosen(reading, pool, settings) | run.chosen()
    points = runs.points(parameters, sample.method, samples=sample.samples, seed=sample.sample_seed)
    chosen = {name: value for name, value in given.items() if value is not None}
    plan = runs.Sweep(preset, held | run.plain(), chosen, tuple(points))
    total, folder = plan.num_runs, Path(out)
    if dry_run:
        say(_estimate(plan, total, workers.jobs), wrap=False)
        return
    began = time.perf_counter()
    check_number(total, yes=yes)
    runs.claim(plan, folder)
    tell(pool)
    with resumable(folder), run_bar(f"{len(plan.points)} points", total) as advance:
        table = runs.run_sweep(plan, folder, jobs=workers.jobs, ray=ray, on_finished=advance)
    names = [parameter.name for parameter in parameters]
    show(summary_table(runs.summary(table, names), names))
    seconds = time.perf_counter() - began
    say(f"\n{total} runs, {seconds:.1f} s since the start of this command", wrap=False)
    say_files({"table": folder / runs.TABLE, "summary": folder / runs.SUMMARY})


def _estimate(plan: Sweep, total: int, jobs: int | None) -> str:
    from cobasim.runs import seconds_per_run

    each = seconds_per_run(plan)
    workers = min(jobs or os.cpu_count() or 1, total)
    left = duration(each * total / workers)
    return (
        f"{len(plan.points)} points, {total} runs; at most about {left} with {workers} "
        f"processes (one run took {each:.2f} s; equal runs are done once)"
    )


def summary_table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> Table:
    """At most 40 rows, the furthest above uniform first; those without a difference come last."""
    shown = sorted(rows, key=_above_uniform)[:MOST_ROWS]
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


def _above_uniform(row: dict[str, Any]) -> tuple[bool, float]:
    difference = row["minus_uniform"]
    return difference is None, -(difference or 0.0)
