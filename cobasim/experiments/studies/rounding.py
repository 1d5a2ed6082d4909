"""How much value whole budgets lose against real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import plotly.graph_objects as go

from cobasim.allocation import (
    CobaValue,
    KnapsackValue,
    Limits,
    ValueFunction,
    beta_shape,
    solve,
)
from cobasim.allocation.solving import relaxed_budgets, rounded_budgets
from cobasim.arrays import FloatArray
from cobasim.experiments.studies.vocabulary import (
    Answer,
    Options,
    Row,
    Rows,
    Study,
    Table,
    grouped,
    half_width,
    lay_out,
    mean_interval,
)
from cobasim.streams import stream
from cobasim.world import POPULATIONS, draw_pass_rates

FAILURE_RATES = (0.7, 0.5, 0.3)
COLUMNS = ("whole_loss", "rounded_loss", "differ")


def value_functions(rates: FloatArray, taus: tuple[float, ...]) -> dict[str, ValueFunction]:
    """Knapsack's value, and CoBA's at several failure rates and taus."""
    functions: dict[str, ValueFunction] = {"knapsack": KnapsackValue(rates)}
    for tau in taus:
        for failure in FAILURE_RATES:
            alpha, beta = beta_shape(failure)
            name = f"coba, F = {failure:g}, tau = {tau:g}"
            functions[name] = CobaValue(rates, alpha=alpha, beta=beta, tau=tau)
    return functions


def measure(options: Options, _jobs: int | None = None) -> list[dict[str, Any]]:
    """Values of the real, the whole and the rounded optimum on drawn batches."""
    size = options.size
    means = options.pick((4, 16), (4, 16, 64))
    taus = options.pick((8.0,), (1.0, 8.0, 50.0))
    rows = []
    for population, seed in product(POPULATIONS, range(size.seeds)):
        rates = draw_pass_rates(stream(seed, 0), size.batch, population)
        for (name, value), mean in product(value_functions(rates, taus).items(), means):
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


def answer(rows: Rows) -> Answer:
    """What whole budgets lose of the value of real ones, in percent."""
    groups = grouped(rows, "value", "population", "mean")
    table = Table(
        "Value lost against real budgets (%), means over batches",
        ("value", "population", "rollouts each", "whole optimum", "rounded real optimum",
         "budgets that differ (%)"),
        [
            (*map(str, key), *(_percent(group, name) for name in COLUMNS))
            for key, group in groups.items()
        ],
    )  # fmt: skip
    lines = [_sentence(kind, groups) for kind in ("coba", "knapsack")]
    return Answer(lines, [table], [_figure(rows)], list(rows))


def _sentence(kind: str, groups: Mapping[tuple[Any, ...], Sequence[Row]]) -> str:
    """The worst case of one kind of value function."""
    own = {key: group for key, group in groups.items() if key[0].startswith(kind)}
    worst = max(own, key=lambda key: float(np.mean([row["whole_loss"] for row in own[key]])))
    group = own[worst]
    rows = [row for members in own.values() for row in members]
    return (
        f"{kind}: whole budgets lose at most {_percent(group, 'whole_loss')} % of the value "
        f"of real ones ({worst[0]}; {worst[1]} prompts, {worst[2]} rollouts each; 95 %, "
        f"{len(group)} batches); largest loss of any single batch "
        f"{100 * max(row['whole_loss'] for row in rows):.5f} %. Rounding the real optimum by "
        f"largest remainders instead loses {_percent(group, 'rounded_loss')} % there, and "
        f"gives {_percent(rows, 'differ')} % of all prompts another budget."
    )


def _percent(rows: Sequence[Row], column: str) -> str:
    mean = mean_interval([100 * row[column] for row in rows])
    half = half_width(mean)
    return f"{mean.mean:.5f}" + ("" if half is None else f" ± {half:.5f}")


def _figure(rows: Rows) -> go.Figure:
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
    return lay_out(figure, "What whole budgets lose", height=480)


ROUNDING = Study(
    "rounding",
    "How much value do whole budgets lose against real (continuous) ones?",
    answer,
    compute=measure,
    open_to_more=False,
    notes=(
        "The real optimum is found by its multiplier (bisection on log L, and for each prompt); "
        "the whole one is the solver's, which is exact. Pass rates are true ones.",
    ),
)
