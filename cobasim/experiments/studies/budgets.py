"""Budgets themselves: what they cost at scale, what rounding loses, and what the bounds do."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import plotly.graph_objects as go
from scipy.stats import linregress
from threadpoolctl import threadpool_limits

from cobasim.allocation import (
    CobaValue,
    KnapsackValue,
    Limits,
    ValueFunction,
    beta_shape,
    make_allocator,
    solve,
)
from cobasim.allocation.solving.relaxation import relaxed_budgets, rounded_budgets
from cobasim.arrays import FloatArray
from cobasim.experiments.benchmark.benchmark import allocate_coba
from cobasim.experiments.studies.skeleton import (
    Answer,
    Options,
    Section,
    Study,
    Table,
    against,
    axis,
    compose,
    name_of,
    sweep,
)
from cobasim.figures import label, lay_out
from cobasim.loop import Loop, LoopConfig
from cobasim.runs.sweep import Sweep
from cobasim.scores import Interval, Rows, mean_interval, t_factor
from cobasim.streams import stream
from cobasim.world import POPULATIONS, LogisticPolicy, WorldConfig, draw_pass_rates

Row = Mapping[str, Any]

# --- scale -----------------------------------------------------------------------------------

REAL_STEP_MS = 952.0
"""A step of the tiny trainer on a CPU, as docs/training.md reports it; not measured here."""
MOST = {"tiny": (1_000, 1_000), "quick": (100_000, 10_000), "full": (1_000_000, 100_000)}
"""Most prompts for threshold and a simulated step, and for the heap."""


REPEATS = 5


def measure_scale(options: Options) -> list[dict[str, Any]]:
    """Processor time by half decades, one thread: allocation by both solvers, a simulated step."""
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
    mine = [row for row in rows if row["what"] == what]
    if len(mine) < 3:
        return None
    fit = linregress(
        [math.log(row["prompts"]) for row in mine],
        [math.log(statistics.median(row["ms"])) for row in mine],
    )
    half = t_factor(len(mine) - 1) * float(fit.stderr)
    return Interval(float(fit.slope), float(fit.slope) - half, float(fit.slope) + half, len(mine))


def answer_scale(rows: Rows) -> Answer:
    """How cost grows, and what share of a step it is."""
    lines = []
    for what in ("threshold", "heap", "simulated step"):
        found = growth(rows, what)
        if found is not None and found.high is not None:
            lines.append(
                f"The cost of {what} grows as M^a with a = {found.mean:.2f} ± "
                f"{found.high - found.mean:.2f} (95 %, {found.n} sizes)."
            )
    at = {(row["what"], row["prompts"]): row["ms"] for row in rows}
    for what in ("threshold", "heap"):
        most = max(prompts for name, prompts in at if name == what)
        own, step = mean_interval(at[what, most]), mean_interval(at["simulated step", most])
        half = 0.0 if own.high is None else own.high - own.mean
        lines.append(
            f"At {most:,} prompts and {16 * most:,} rollouts {what} takes {own.mean:.2f} ± "
            f"{half:.2f} ms, {100 * own.mean / step.mean:.0f} % of a simulated step without it "
            f"({step.mean:.2f} ms) and {own.mean / REAL_STEP_MS:.2f} of a step of the tiny "
            f"CPU trainer ({REAL_STEP_MS:.0f} ms for its 64 prompts: docs/training.md, not "
            "measured here)."
        )
    figure = go.Figure()
    for what in dict.fromkeys(row["what"] for row in rows):
        mine = [row for row in rows if row["what"] == what]
        figure.add_trace(
            go.Scatter(
                x=[row["prompts"] for row in mine],
                y=[statistics.median(row["ms"]) for row in mine],
                name=label(what),
                mode="lines+markers",
            )
        )
    figure.add_hline(y=REAL_STEP_MS, line={"dash": "dot"}, annotation_text="real step, tiny")
    figure.update_xaxes(type="log", title="prompts in the batch")
    figure.update_yaxes(type="log", title="milliseconds")
    table = Table(
        "Milliseconds, medians",
        ("what", "prompts", "rollouts", "ms"),
        [
            (row["what"], f"{row['prompts']:,}", f"{16 * row['prompts']:,}",
             f"{statistics.median(row['ms']):.3f}")
            for row in rows
        ],
    )  # fmt: skip
    return Answer(lines, [table], [lay_out(figure, "Cost by size of the batch")], list(rows))


SCALE = Study(
    "scale",
    "What does allocation cost for 10^3 to 10^6 prompts, beside a simulated and a real step?",
    answer_scale,
    compute=measure_scale,
    open_to_more=False,
    notes=(
        "Times are milliseconds of processor time on this machine, one thread of linear algebra; "
        "the step of the real trainer is wall time of another machine. Memory is warm: in a fresh "
        "process, which meets every page for the first time, large batches take several times as "
        "long.",
    ),
)

# --- rounding --------------------------------------------------------------------------------

FAILURE_RATES = (0.7, 0.5, 0.3)


def value_functions(rates: FloatArray, taus: tuple[float, ...]) -> dict[str, ValueFunction]:
    """Knapsack's value, and CoBA's at several failure rates and taus."""
    found: dict[str, ValueFunction] = {"knapsack": KnapsackValue(rates)}
    for tau in taus:
        for failure in FAILURE_RATES:
            alpha, beta = beta_shape(failure)
            found[f"coba, F = {failure:g}, tau = {tau:g}"] = CobaValue(
                rates, alpha=alpha, beta=beta, tau=tau
            )
    return found


def measure_rounding(options: Options) -> list[dict[str, Any]]:
    """Values of the real, the whole and the rounded optimum on drawn batches."""
    size = options.size
    means = options.pick((4, 16), (4, 16, 64))
    taus = options.pick((8.0,), (1.0, 8.0, 50.0))
    rows = []
    for population in POPULATIONS:
        for seed in range(size.seeds):
            rates = draw_pass_rates(stream(seed, 0), size.batch, population)
            for name, value in value_functions(rates, taus).items():
                for mean in means:
                    limits = Limits(mean * size.batch, 2, 128)
                    real = relaxed_budgets(value, limits)
                    best, rounded = solve(value, limits), rounded_budgets(real, limits)
                    top = float(value.value(real).sum())
                    rows.append(
                        {
                            "population": population, "seed": seed, "value": name, "mean": mean,
                            "relaxed": top,
                            "whole_loss": 1.0 - float(value.value(best).sum()) / top,
                            "rounded_loss": 1.0 - float(value.value(rounded).sum()) / top,
                            "differ": float(np.mean(best != rounded)),
                        }
                    )  # fmt: skip
    return rows


def answer_rounding(rows: Rows) -> Answer:
    """What whole budgets lose of the value of real ones, in percent."""

    def interval(mine: list[Row], column: str) -> str:
        one = mean_interval([100 * row[column] for row in mine])
        return f"{one.mean:.5f}" + ("" if one.high is None else f" ± {one.high - one.mean:.5f}")

    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["value"], row["population"], row["mean"]), []).append(row)
    lines = []
    for kind in ("coba", "knapsack"):
        mine = {key: group for key, group in groups.items() if key[0].startswith(kind)}
        worst = max(mine, key=lambda key: float(np.mean([row["whole_loss"] for row in mine[key]])))
        group = mine[worst]
        every = [row for one in mine.values() for row in one]
        lines.append(
            f"{kind}: whole budgets lose at most {interval(group, 'whole_loss')} % of the value "
            f"of real ones ({worst[0]}; {worst[1]} prompts, {worst[2]} rollouts each; 95 %, "
            f"{len(group)} batches); largest loss of any single batch "
            f"{100 * max(row['whole_loss'] for row in every):.5f} %. Rounding the real optimum by "
            f"largest remainders instead loses {interval(group, 'rounded_loss')} % there, and "
            f"gives {interval(every, 'differ')} % of all prompts another budget."
        )
    table = Table(
        "Value lost against real budgets (%), means over batches",
        ("value", "population", "rollouts each", "whole optimum", "rounded real optimum",
         "budgets that differ (%)"),
        [
            (*map(str, key), interval(mine, "whole_loss"), interval(mine, "rounded_loss"),
             interval(mine, "differ"))
            for key, mine in groups.items()
        ],
    )  # fmt: skip
    figure = go.Figure()
    for column, text in (("whole_loss", "whole optimum"), ("rounded_loss", "rounded real one")):
        figure.add_trace(
            go.Box(
                x=[row["value"] for row in rows],
                y=[max(100 * row[column], 1e-9) for row in rows],
                name=text,
            )
        )
    figure.update_yaxes(type="log", title="value lost (%)")
    figure.update_layout(boxmode="group")
    lay_out(figure, "What whole budgets lose", height=480)
    return Answer(lines, [table], [figure], list(rows))


ROUNDING = Study(
    "rounding",
    "How much value do whole budgets lose against real (continuous) ones?",
    answer_rounding,
    compute=measure_rounding,
    open_to_more=False,
    notes=(
        "The real optimum is found by its multiplier (bisection on log L, and for each prompt); "
        "the whole one is the solver's, which is exact. Pass rates are true ones.",
    ),
)

# --- bounds ----------------------------------------------------------------------------------

USUAL_LOW, USUAL_HIGH = 2, 128


def plan_bounds(options: Options) -> dict[str, Sweep]:
    """One bound at a time; uniform knows neither."""
    names = options.names("knapsack", "coba")
    lows = options.pick((1, USUAL_LOW, 4, 8), (1, USUAL_LOW, 3, 4, 6, 8, 12))
    highs = options.pick((20, 32, 64, USUAL_HIGH), (20, 24, 32, 48, 64, USUAL_HIGH, 256))
    return {
        "uniform": sweep(options, ("uniform",)),
        "low": sweep(options, names, axis("low", lows)),
        "high": sweep(options, names, axis("high", highs)),
    }


def answer_bounds(rows: Rows) -> Answer:
    """Each bound against its usual value, and against uniform."""

    def variant(row: Row) -> str:
        low = row.get("low") or USUAL_LOW
        high = row.get("high") or USUAL_HIGH
        if row["allocator"] == "uniform":
            return "uniform"
        return name_of(row["allocator"], f"{low} to {high}")

    usual = against(
        rows,
        "final_heldout",
        variant=variant,
        reference=lambda row: name_of(row["allocator"], f"{USUAL_LOW} to {USUAL_HIGH}"),
    )
    to_uniform = against(rows, "final_heldout", variant=variant, reference=lambda _: "uniform")
    return compose(
        [
            Section(
                f"held-out accuracy at other bounds, against {USUAL_LOW} to {USUAL_HIGH}", usual
            ),
            Section("held-out accuracy by bounds, against uniform", to_uniform),
        ]
    )


BOUNDS = Study(
    "bounds",
    "How sensitive is the outcome to B_low and B_up?",
    answer_bounds,
    plan_bounds,
    notes=("The mean is 16 rollouts a prompt: bounds of 16 to 16 would be uniform.",),
)
