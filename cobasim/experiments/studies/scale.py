"""What budgets cost at scale."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import plotly.graph_objects as go
from threadpoolctl import threadpool_limits

from cobasim.allocation import make_allocator
from cobasim.experiments.benchmark import allocate_coba
from cobasim.experiments.studies.vocabulary import (
    Answer,
    Options,
    Rows,
    Study,
    Table,
    grouped,
    half_width,
    label,
    lay_out,
    mean_interval,
)
from cobasim.loop import Loop, LoopConfig
from cobasim.scores import Interval, t_factor
from cobasim.streams import stream
from cobasim.world import LogisticPolicy, WorldConfig, draw_pass_rates

REAL_STEP_MS = 952.0
"""A step of the tiny trainer on a CPU, as docs/training.md reports it; not measured here."""
MOST = {"tiny": (1_000, 1_000), "quick": (100_000, 10_000), "full": (1_000_000, 100_000)}
"""Most prompts for threshold and a simulated step, and for the heap."""
REPEATS = 5


def measure(options: Options, _jobs: int | None = None) -> list[dict[str, Any]]:
    """Processor time, one thread: allocation by both solvers, and a simulated step.

    Sizes go up by half a decade of prompts.
    """
    most, most_heap = MOST[options.preset]
    rows = []
    with threadpool_limits(1):
        for half in range(2 * round(math.log10(most / 1000)) + 1):
            prompts = round(1000 * 10 ** (half / 2))
            rates = draw_pass_rates(stream(0, 0), prompts, "math")
            for solver in ("threshold", "heap"):
                if solver == "heap" and prompts > most_heap:
                    continue
                times = cpu_ms(partial(allocate_coba, rates, 16 * prompts, solver))
                rows.append({"what": solver, "prompts": prompts, "ms": times})
            rows.append({"what": "simulated step", "prompts": prompts, "ms": _steps_ms(prompts)})
    return rows


def cpu_ms(act: Callable[[], object]) -> list[float]:
    """Milliseconds of processor time of REPEATS calls, after one that is not counted."""
    act()
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        act()
        times.append(1e3 * (time.process_time() - began))
    return times


def _steps_ms(prompts: int) -> list[float]:
    """Whole steps with uniform budgets, every prompt of the pool in the batch."""
    world = WorldConfig(num_prompts=prompts, num_heldout=1)
    config = LoopConfig(
        steps=10**9, batch_size=prompts, total_budget=16 * prompts, eval_every=10**9
    )
    loop = Loop(LogisticPolicy(world, 0), config, seed=0)
    return cpu_ms(partial(loop.advance, make_allocator("uniform")))


def growth(rows: Rows, what: str) -> Interval | None:
    """The exponent a of cost = c M^a, by least squares on logarithms; None below three sizes."""
    from scipy.stats import linregress

    sizes = [row for row in rows if row["what"] == what]
    if len(sizes) < 3:
        return None
    fit = linregress(
        [math.log(row["prompts"]) for row in sizes],
        [math.log(statistics.median(row["ms"])) for row in sizes],
    )
    slope, half = float(fit.slope), t_factor(len(sizes) - 1) * float(fit.stderr)
    return Interval(slope, slope - half, slope + half, len(sizes))


def answer(rows: Rows) -> Answer:
    """How cost grows, and what share of a step it is."""
    table = Table(
        "Milliseconds, medians",
        ("what", "prompts", "rollouts", "ms"),
        [
            (row["what"], f"{row['prompts']:,}", f"{16 * row['prompts']:,}",
             f"{statistics.median(row['ms']):.3f}")
            for row in rows
        ],
    )  # fmt: skip
    return Answer(_sentences(rows), [table], [_figure(rows)], list(rows))


def _sentences(rows: Rows) -> list[str]:
    lines = []
    for what in ("threshold", "heap", "simulated step"):
        exponent = growth(rows, what)
        if exponent is not None:
            lines.append(
                f"The cost of {what} grows as M^a with a = {exponent.mean:.2f} ± "
                f"{half_width(exponent):.2f} (95 %, {exponent.n} sizes)."
            )
    at = {(row["what"], row["prompts"]): row["ms"] for row in rows}
    for what in ("threshold", "heap"):
        most = max(prompts for name, prompts in at if name == what)
        own, step = mean_interval(at[what, most]), mean_interval(at["simulated step", most])
        lines.append(
            f"At {most:,} prompts and {16 * most:,} rollouts {what} takes {own.mean:.2f} ± "
            f"{half_width(own) or 0.0:.2f} ms, {100 * own.mean / step.mean:.0f} % of a simulated "
            f"step without it ({step.mean:.2f} ms) and {own.mean / REAL_STEP_MS:.2f} of a step of "
            f"the tiny CPU trainer ({REAL_STEP_MS:.0f} ms for its 64 prompts: docs/training.md, "
            "not measured here)."
        )
    return lines


def _figure(rows: Rows) -> go.Figure:
    figure = go.Figure()
    for (what,), sizes in grouped(rows, "what").items():
        figure.add_trace(
            go.Scatter(
                x=[row["prompts"] for row in sizes],
                y=[statistics.median(row["ms"]) for row in sizes],
                name=label(what),
                mode="lines+markers",
            )
        )
    figure.add_hline(y=REAL_STEP_MS, line={"dash": "dot"}, annotation_text="real step, tiny")
    figure.update_xaxes(type="log", title="prompts in the batch")
    figure.update_yaxes(type="log", title="milliseconds")
    return lay_out(figure, "Cost by size of the batch")


SCALE = Study(
    "scale",
    "What does allocation cost for 10^3 to 10^6 prompts, next to a simulated and a real step?",
    answer,
    compute=measure,
    open_to_more=False,
    notes=(
        "Times are milliseconds of processor time on this machine, one thread of linear algebra; "
        "the step of the real trainer is wall time of another machine. Memory is warm: in a fresh "
        "process, which meets every page for the first time, large batches take several times as "
        "long.",
    ),
)
