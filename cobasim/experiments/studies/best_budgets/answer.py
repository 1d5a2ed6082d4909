"""Rows of the study -> sentences, tables and one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cobasim.experiments.intervals import half_width, signed
from cobasim.experiments.studies.best_budgets.picture import picture
from cobasim.experiments.studies.best_budgets.states import (
    BEST,
    BOTH,
    BOTH_VALIDATED,
    BY_LEVEL,
    BY_RATE,
    FIFTHS,
    PROMPTS,
    VALIDATED,
)
from cobasim.experiments.studies.study import Answer, Row, Table, grouped
from cobasim.scores import Interval, Rows, mean_interval

OWN = (BY_RATE, BY_LEVEL, VALIDATED, BEST, PROMPTS, BOTH, BOTH_VALIDATED)


def answer(rows: Rows) -> Answer:
    """Expected gains of a step, who gets the best budgets, drawn gains, and whole runs."""
    parts = {key[0]: group for key, group in grouped(rows, "part").items()}
    states = with_uniform(parts["state"])
    weightings = list(dict.fromkeys(row["weighting"] for row in states))
    lines = []
    for weighting in weightings:
        lines.append(step_sentence(states, weighting))
        lines.append(budget_sentence(states, weighting))
        lines.append(run_sentence(parts["run"], weighting))
    lines.append(check_sentence(parts["check"]))
    tables = [gain_table(states), budget_table(states), run_table(parts["run"])]
    tables.append(check_table(parts["check"]))
    return Answer(lines, tables, [picture(states)], list(rows))


def with_uniform(rows: Rows) -> list[dict[str, Any]]:
    """Rows with ``points``, the gain in points; ``uniform``, that of uniform; ``more``, the rest.

    The gain of a step that spends less is that of as many rollouts as uniform's.
    """
    keys = ("seed", "weighting", "step", "scale", "ahead")
    base = {tuple(row[key] for key in keys): row for row in rows if row["arm"] == "uniform"}
    made = []
    for row in rows:
        uniform = base[tuple(row[key] for key in keys)]
        points = 100.0 * row["gain"] * uniform["rollouts"] / row["rollouts"]
        level = 100.0 * uniform["gain"]
        made.append({**row, "points": points, "uniform": level, "more": points - level})
    return made


def of(rows: Rows, **wanted: Any) -> list[Row]:
    """The rows with these values."""
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def spread(rows: Sequence[Row], column: str) -> Interval:
    """Mean and interval of a column."""
    return mean_interval([row[column] for row in rows])


def text_of(interval: Interval, digits: int = 2) -> str:
    """Signed, with half a width."""
    return signed(interval.mean, half_width(interval), digits)


def share(rows: Sequence[Row]) -> str:
    """The gain as a multiple of uniform's; nothing where uniform's own is not above 0."""
    level = spread(rows, "uniform")
    if level.mean <= 0.0 or (level.low is not None and level.low <= 0.0):
        return "-"
    more = spread(rows, "more")
    half = half_width(more)
    text = f"{1.0 + more.mean / level.mean:.2f}"
    return text if half is None else f"{text} ± {half / level.mean:.2f}"


def step_sentence(states: Rows, weighting: str) -> str:
    """How much more than uniform one step could gain, and what of it can be known."""
    own = of(states, weighting=weighting, scale="own")
    level = spread(of(own, arm="uniform"), "points")
    more = {arm: spread(of(own, arm=arm), "more") for arm in dict.fromkeys(r["arm"] for r in own)}
    near = "" if _above(more[BEST]) else " (not significantly more: the bound is close to uniform)"
    others = ", ".join(
        f"{arm} {text_of(more[arm], 3)}" for arm in more if arm not in (*OWN, "uniform")
    )
    return (
        f"Loss per {weighting}, one step, points of expected held-out accuracy: uniform "
        f"{text_of(level, 3)}; minus uniform, the best budgets {text_of(more[BEST], 3)}{near}, of "
        f"which knowing pass rates only {text_of(more[BY_RATE], 3)}, and levels too "
        f"{text_of(more[BY_LEVEL], 3)}, and with gradients of other held-out prompts "
        f"{text_of(more[VALIDATED], 3)}; choosing prompts only {text_of(more[PROMPTS], 3)}, "
        f"prompts and budgets {text_of(more[BOTH], 3)}, with gradients of other held-out prompts "
        f"{text_of(more[BOTH_VALIDATED], 3)}. Allocators: {others}."
    )


def _above(interval: Interval) -> bool:
    return interval.mean > 0.0 if interval.low is None else interval.low > 0.0


def budget_sentence(states: Rows, weighting: str) -> str:
    """Which budgets are best."""
    best = of(states, weighting=weighting, scale="own", arm=BEST)
    rise, rate = _mean_profile(best, "by_rise"), _mean_profile(best, "by_rate")
    return (
        f"Loss per {weighting}, the best budgets: {_list(rise)} rollouts by fifths of h.x, from "
        f"the prompts that raise held-out accuracy least to those that raise it most; "
        f"{_list(rate)} by pass rate from 0-0.2 to 0.8-1. {_percent(best, 'least')} of the "
        f"prompts get the least allowed, an eighth of the prompts {_percent(best, 'eighth')} of "
        "the rollouts; "
        f"{_percent(best, 'harmful')} of the prompts would lower held-out accuracy."
    )


def _mean_profile(rows: Sequence[Row], column: str) -> list[float | None]:
    columns = [[row[column][k] for row in rows if k < len(row[column])] for k in range(FIFTHS)]
    known = [[value for value in values if value is not None] for values in columns]
    return [float(np.mean(values)) if values else None for values in known]


def _list(values: Sequence[float | None]) -> str:
    return ", ".join("-" if value is None else f"{value:.1f}" for value in values)


def _percent(rows: Sequence[Row], column: str) -> str:
    return f"{100 * float(np.mean([row[column] for row in rows])):.0f} %"


def _differences(runs: Rows, weighting: str, arm: str, column: str) -> Interval:
    base = {row["seed"]: row[column] for row in of(runs, weighting=weighting, arm="uniform")}
    made = of(runs, weighting=weighting, arm=arm)
    return mean_interval([100.0 * (row[column] - base[row["seed"]]) for row in made])


def run_sentence(runs: Rows, weighting: str) -> str:
    """Whole runs minus uniform's, paired by seed."""
    arms = dict.fromkeys(row["arm"] for row in of(runs, weighting=weighting))
    level = mean_interval(
        [100.0 * row["final"] for row in of(runs, weighting=weighting, arm="uniform")]
    )
    found = ", ".join(
        f"({arm}) {text_of(_differences(runs, weighting, arm, 'final'))}"
        for arm in arms if arm != "uniform"
    )  # fmt: skip
    unseen = ", ".join(
        f"({arm}) {text_of(_differences(runs, weighting, arm, 'unseen'))}"
        for arm in arms if arm in (VALIDATED, BOTH_VALIDATED)
    )  # fmt: skip
    return (
        f"Loss per {weighting}, whole runs: uniform ends at {level.mean:.2f} %; points minus "
        f"uniform: {found}. On the half of the held-out prompts that validation does not use: "
        f"{unseen}."
    )


def check_sentence(checks: Rows) -> str:
    """Whether drawn steps gain what was computed."""
    off = [abs(row["drawn"] - row["gain"]) for row in checks]
    scale = float(np.mean([abs(row["gain"]) for row in checks]))
    inside = sum(
        abs(row["drawn"] - row["gain"]) < 3 * row["error"] + 0.1 * abs(row["gain"])
        for row in checks
    )
    return (
        f"Drawn steps ({checks[0]['draws']} each) against the expected gain: mean difference "
        f"{100 * float(np.mean(off)):.3f} points where the gain is {100 * scale:.3f}; {inside} of "
        f"{len(checks)} within 10 % or three standard errors."
    )


def gain_table(states: Rows) -> Table:
    """Every arm's gain at every state and over all."""
    steps = sorted({row["step"] for row in states})
    lines = []
    for (weighting, scale, arm), group in grouped(states, "weighting", "scale", "arm").items():
        cells = [text_of(spread(of(group, step=step), "points"), 3) for step in steps]
        more = "" if arm == "uniform" else text_of(spread(group, "more"), 3)
        lines.append((weighting, scale, arm, *cells, more, share(group)))
    heads = (
        "loss per", "scale", "budgets", *(f"step {step}" for step in steps),
        "all, minus uniform", "times uniform",
    )  # fmt: skip
    return Table("Expected gain of one step, points of held-out accuracy", heads, lines)


def budget_table(states: Rows) -> Table:
    """Who gets the best budgets."""
    lines = []
    best = of(states, arm=BEST)
    for (weighting, scale, step), group in grouped(best, "weighting", "scale", "step").items():
        rise, rate = _mean_profile(group, "by_rise"), _mean_profile(group, "by_rate")
        lines.append(
            (weighting, scale, str(step), _list(rise), _list(rate), _percent(group, "least"),
             _percent(group, "eighth"), _percent(group, "harmful"))
        )  # fmt: skip
    heads = (
        "loss per", "scale", "step", "rollouts by fifths of h.x", "by pass rate, fifths of 0 to 1",
        "prompts with the least", "rollouts of an eighth", "prompts with h.x < 0",
    )  # fmt: skip
    return Table("Who gets the best budgets (mean rollouts a prompt)", heads, lines)


def run_table(runs: Rows) -> Table:
    """Whole runs."""
    lines = []
    for (weighting, arm), group in grouped(runs, "weighting", "arm").items():
        level = 100.0 * float(np.mean([row["final"] for row in group]))
        norm = float(np.mean([row["norm"] for row in group]))
        differences = [
            "" if arm == "uniform" else text_of(_differences(runs, weighting, arm, column))
            for column in ("final", "unseen")
        ]
        lines.append((weighting, arm, f"{level:.2f}", *differences, f"{norm:.2f}"))
    heads = (
        "loss per", "budgets", "final held-out (%)", "minus uniform (points)",
        "on every second held-out prompt", "mean gradient norm",
    )  # fmt: skip
    return Table("Whole runs", heads, lines)


def check_table(checks: Rows) -> Table:
    """Drawn and expected gains."""
    lines = [
        (row["weighting"], str(row["step"]), str(row["seed"]), row["arm"],
         f"{100 * row['gain']:+.3f}", f"{100 * row['drawn']:+.3f} ± {196 * row['error']:.3f}")
        for row in checks
    ]  # fmt: skip
    heads = ("loss per", "step", "seed", "budgets", "expected", "drawn")
    return Table("Expected gains of one step and the mean of drawn ones (points)", heads, lines)
