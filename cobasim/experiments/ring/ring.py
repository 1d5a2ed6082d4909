"""The ring: every allocator under equal rollouts in many conditions, ranked, with its noise.

A condition is a point of a sweep (world, population, noise, regime) under one weighting of the
loss. Runs are read at the rollouts that all of them reached, so that an allocator which spends
more or less than planned is compared with the others at equal cost.
"""

from __future__ import annotations

import html
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cobasim.allocation import ALLOCATORS, find_allocator
from cobasim.arrays import FloatArray
from cobasim.errors import InputError, unknown_name
from cobasim.experiments.ring import figures as ring_figures
from cobasim.loop import Loop
from cobasim.records import Run, write_atomically
from cobasim.report import document, drawing, grid, provenance
from cobasim.runs.comparison import BASELINE
from cobasim.runs.config import ORACLE
from cobasim.runs.sweep import Point, Sweep
from cobasim.scores import (
    LEVEL,
    WallTime,
    accuracy_curve,
    as_p_values,
    critical_difference,
    false_discovery,
    friedman,
    is_oracle,
    mean_interval,
    mean_ranks,
    paired_p_value,
    wall_time_curve,
)

REPORT, NUMBERS = "ring.html", "ring.json"
PRESETS = ("quick", "full")
REFERENCES = (BASELINE, "coba")
MEASURED = "examples/pass_rates_tiny_lm.csv"
"""Pass rates of a real, tiny language model; below the working folder or beside the package."""

SIZES: dict[str, Any] = {
    "steps": 150, "batch_size": 128, "total_budget": 2048, "weightings": ("rollout", "prompt"),
}  # fmt: skip
SETTINGS: dict[str, Any] = {"num_prompts": 1024, "num_heldout": 1000}
SEEDS = {"quick": 3, "full": 5}

# Chosen with uniform budgets alone (seeds 100 and 101), so that these rise by 10 to 20 points in
# 150 steps of 128 prompts; how: docs/ring.md
LEARNING_RATES: dict[str, dict[str, float]] = {
    "logistic": {"easy": 0.0048, "hard": 0.0095, "math": 0.0054, "measured": 0.0048},
    "skill-chain": {"easy": 0.08, "hard": 0.08, "math": 0.08, "measured": 0.08},
}
CLUSTERS = {"logistic": 8, "skill-chain": 4}
"""Fewer chains than in the default world, as the pool is smaller: with noise they learn too."""
TIME = WallTime(round_latency=60.0, generated_per_second=25.0, trained_per_second=25.0)
"""As ``WallTime``, for a quarter of the rollouts: waiting, generating, training a third each."""
NOISY_FACTOR = {"logistic": 2.5, "skill-chain": 3.0}
"""Learning rate under more noise than the first level of each kind, over that without."""

QUIET = (10.0, 0.0)
"""Noise of a rollout and of a prompt at the first levels."""


def condition(
    world: str,
    population: str,
    noise: tuple[float, float] = QUIET,
    *,
    regime_step: int | None = None,
    pass_rates: str | None = None,
) -> Point:
    """One point of the sweep; population "measured" starts prompts at the file ``pass_rates``."""
    rate = LEARNING_RATES[world][population]
    return {
        "world": world,
        "clusters": CLUSTERS[world],
        "population": "math" if population == "measured" else population,
        "pass_rates": pass_rates if population == "measured" else None,
        "noise": noise[0],
        "prompt_noise": noise[1],
        "regime_step": regime_step,
        "learning_rate": float(f"{rate * (1.0 if noise == QUIET else NOISY_FACTOR[world]):.6g}"),
    }


def conditions(preset: str, steps: int, pass_rates: str) -> tuple[Point, ...]:
    """The points of a preset; quick's are a part of full's."""
    full = preset == "full"
    populations = ("easy", "hard", "math", "measured") if full else ("math", "measured")
    noises = list(itertools.product((10.0, 40.0), (0.0, 20.0))) if full else [QUIET, (40.0, 20.0)]
    regimes = [QUIET, (40.0, 20.0)] if full else [QUIET]
    points = [
        condition(world, population, noise, pass_rates=pass_rates)
        for world in LEARNING_RATES
        for population in populations
        for noise in noises
    ]
    if steps >= 2:
        points += [
            condition(world, "math", noise, regime_step=steps // 2)
            for world in LEARNING_RATES
            for noise in regimes
        ]
    return tuple(points)


def measured_file(given: str | None = None) -> str:
    """The file of measured pass rates. Raises InputError if it is not there."""
    beside = Path(__file__).parents[3] / MEASURED
    for file in [Path(MEASURED), beside] if given is None else [Path(given)]:
        if file.is_file():
            return str(file)
    raise InputError(
        f"{given or MEASURED} is not there; give a file of measured pass rates with --pass-rates"
    )


def plan(
    preset: str = "quick",
    allocators: Sequence[str] | None = None,
    *,
    seeds: int | None = None,
    steps: int | None = None,
    oracles: bool = True,
    pass_rates: str | None = None,
    settings: Mapping[str, Any] | None = None,
    points: Sequence[Point] | None = None,
) -> Sweep:
    """The sweep of a ring.

    Args:
        preset: "quick" or "full".
        allocators: names, uniform among them; None: all of ALLOCATORS.
        seeds: at least two, since noise is what results are judged by; None: the preset's.
        steps: policy updates of a run; learning rates are chosen for the default.
        oracles: also run each as oracle-NAME that looks at pass rates.
        pass_rates: file of the measured population; None: ``MEASURED``.
        settings: further settings of the world, the loop or allocators; conditions win.
        points: conditions; None: the preset's.

    Raises InputError for bad values.
    """
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    names = tuple(ALLOCATORS if allocators is None else allocators)
    if BASELINE not in names:
        raise InputError("--allocators must include uniform: differences are measured against it")
    if len(names) < 2:
        raise InputError("a ring needs at least two allocators, uniform among them")
    if shown := [name for name in names if is_oracle(name)]:
        raise InputError(f"{shown[0]}: oracles are added to the allocators named; leave it out")
    for name in names:
        find_allocator(name)
    seeds = SEEDS[preset] if seeds is None else seeds
    if seeds < 2:
        raise InputError(f"a ring needs at least 2 seeds to know its noise, got {seeds}")
    steps = int(SIZES["steps"]) if steps is None else steps
    if points is None:
        points = conditions(preset, steps, measured_file(pass_rates))
    if oracles:
        names += tuple(ORACLE + name for name in names if "beliefs" in find_allocator(name).needs)
    chosen = SIZES | {
        "allocators": names, "seeds": seeds, "steps": steps, "eval_every": max(1, steps // 15),
    }  # fmt: skip
    return Sweep("quick", SETTINGS | dict(settings or {}), chosen, tuple(points))


def measure(finished: Run, loop: Loop) -> dict[str, Any]:
    """The curve of a run for its row: rollouts, modelled seconds, and held-out accuracy."""
    rollouts, heldout = accuracy_curve(finished)
    return {
        "curve_rollouts": rollouts.tolist(),
        "curve_heldout": heldout.tolist(),
        "curve_seconds": wall_time_curve(finished, TIME)[0].tolist(),
    }


# -- outcomes ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcomes:
    """Accuracies of a ring at equal rollouts.

    Attributes:
        conditions: label, weighting and settings of each condition.
        methods: allocators, oracles included.
        seeds: of the runs.
        accuracy: (conditions, methods, seeds) held-out accuracy at ``common`` rollouts.
        timed: (conditions, methods, seeds) the same at the modelled time (``TIME``) that every run
            of the condition and seed reached.
        start: (conditions, seeds) before any update.
        common: (conditions, seeds) rollouts that every run of the condition and seed reached.
        spent: (conditions, methods, seeds) rollouts of whole runs.
        seconds: (conditions, methods, seeds) that a run took.
    """

    conditions: tuple[dict[str, Any], ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    accuracy: FloatArray
    timed: FloatArray
    start: FloatArray
    common: FloatArray
    spent: FloatArray
    seconds: FloatArray

    @property
    def league(self) -> list[int]:
        """Positions of the methods that compete: all but oracles."""
        return [at for at, name in enumerate(self.methods) if not is_oracle(name)]


def label_of(row: Mapping[str, Any]) -> str:
    """A condition in a few words, such as ``logistic, math, noise 10+20, regime``."""
    measured = row["pass_rates"] not in (None, "null")
    population = "measured" if measured else row["population"]
    noise = f"noise {row['noise']:g}+{row['prompt_noise']:g}"
    regime = ", regime" if row["regime_step"] not in (None, "null") else ""
    return f"{row['world']}, {population}, {noise}{regime}"


def outcomes(rows: Sequence[Mapping[str, Any]]) -> Outcomes:
    """Read a sweep's rows at equal rollouts: those that all runs of a condition and seed reached.

    Raises InputError if a run is missing or was not evaluated.
    """
    keys = list(dict.fromkeys((row["weighting"], row["point"]) for row in rows))
    weightings = list(dict.fromkeys(weighting for weighting, _ in keys))
    keys.sort(key=lambda key: weightings.index(key[0]))
    methods = tuple(dict.fromkeys(row["allocator"] for row in rows))
    seeds = tuple(sorted({row["seed"] for row in rows}))
    shape = len(keys), len(methods), len(seeds)
    table = {(r["weighting"], r["point"], r["allocator"], r["seed"]): r for r in rows}
    if len(table) != len(rows) or len(table) != np.prod(shape) or not table:
        raise InputError(
            f"a ring of {shape[0]} conditions, {shape[1]} methods and {shape[2]} seeds needs one "
            f"row each, got {len(rows)}; let the sweep finish"
        )
    accuracy, timed = np.empty(shape), np.empty(shape)
    spent, seconds = np.empty(shape), np.empty(shape)
    start, common = np.empty(shape[::2]), np.empty(shape[::2])
    found = []
    for c, (weighting, point) in enumerate(keys):
        for s, seed in enumerate(seeds):
            runs = [table[weighting, point, name, seed] for name in methods]
            curves = [(run["curve_rollouts"], run["curve_heldout"]) for run in runs]
            if min(len(x) for x, _ in curves) < 2:
                raise InputError("a run was evaluated less than twice; give it more steps")
            common[c, s] = min(x[-1] for x, _ in curves)
            accuracy[c, :, s] = [np.interp(common[c, s], x, y) for x, y in curves]
            times = [run["curve_seconds"] for run in runs]
            until = min(x[-1] for x in times)
            timed[c, :, s] = [
                np.interp(until, x, y) for x, (_, y) in zip(times, curves, strict=True)
            ]
            spent[c, :, s] = [run["rollouts"] for run in runs]
            seconds[c, :, s] = [run["seconds"] for run in runs]
            start[c, s] = curves[0][1][0]
        first = table[weighting, point, methods[0], seeds[0]]
        swept = {name: first[name] for name in condition("logistic", "math")}
        found.append({"label": label_of(first), "weighting": weighting, "point": point, **swept})
    return Outcomes(tuple(found), methods, seeds, accuracy, timed, start, common, spent, seconds)


@dataclass(frozen=True)
class Differences:
    """Differences of accuracy to one reference, paired by seed.

    Attributes:
        reference: an allocator.
        mean: (conditions, methods) over seeds, shares.
        adjusted: (conditions, methods) p-values of paired t-tests, Benjamini-Hochberg-corrected
            over all conditions and all competing methods but the reference; 1 elsewhere.
    """

    reference: str
    mean: FloatArray
    adjusted: FloatArray

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Where a difference is beyond the noise."""
        return np.asarray(self.adjusted < LEVEL)


def differences(found: Outcomes, reference: str) -> Differences:
    """Paired differences of every method to ``reference``. Raises InputError if it was not run."""
    if reference not in found.methods:
        raise unknown_name("allocator", reference, found.methods)
    base = found.accuracy[:, found.methods.index(reference)]  # (conditions, seeds)
    mean = (found.accuracy - base[:, None]).mean(axis=2)
    adjusted = np.ones(mean.shape)
    tested = [at for at in found.league if found.methods[at] != reference]
    raw = [
        as_p_values(paired_p_value(own[m], even) for m in tested)
        for own, even in zip(found.accuracy, base, strict=True)
    ]
    adjusted[:, tested] = false_discovery(raw)
    return Differences(reference, mean, adjusted)


# -- leagues -------------------------------------------------------------------------------


def analyse(found: Outcomes) -> dict[str, Any]:
    """All numbers of a ring as plain values: leagues, tests, and differences by condition."""
    against = {name: differences(found, name) for name in REFERENCES if name in found.methods}
    weightings = list(dict.fromkeys(one["weighting"] for one in found.conditions))
    groups = {"both": weightings} if len(weightings) > 1 else {}
    groups |= {name: [name] for name in weightings}
    leagues = {}
    for title, members in groups.items():
        inside = [c for c, one in enumerate(found.conditions) if one["weighting"] in members]
        leagues[title] = league(found, against, inside)
    planned = float(found.spent[:, found.methods.index(BASELINE)].mean())
    base = found.accuracy[:, found.methods.index(BASELINE)]
    return {
        "seeds": list(found.seeds),
        "methods": list(found.methods),
        "level": LEVEL,
        "leagues": leagues,
        "compared_at": float(found.common.mean()) / planned,
        "shortest": found.methods[int(np.argmin(found.spent.mean(axis=(0, 2))))],
        "conditions": [
            {
                **one,
                "uniform_start": float(found.start[c].mean()),
                "uniform": float(base[c].mean()),
                "rollouts": float(found.common[c].mean()),
                "seconds": float(found.seconds[c].sum()),
            }
            for c, one in enumerate(found.conditions)
        ],
        "differences": {
            name: {
                method: [
                    {"mean": float(one.mean[c, m]), "adjusted_p": float(one.adjusted[c, m])}
                    for c in range(len(found.conditions))
                ]
                for m, method in enumerate(found.methods)
                if m in found.league
            }
            for name, one in against.items()
        },
        "ranks": {
            found.methods[m]: ranks.tolist()
            for m, ranks in zip(
                found.league, mean_ranks(found.accuracy[:, found.league]).T, strict=True
            )
        },
    }


def league(
    found: Outcomes, against: Mapping[str, Differences], inside: Sequence[int]
) -> dict[str, Any]:
    """Ranks, differences and tests over the conditions ``inside``, the best mean rank first."""
    members = found.league
    values = found.accuracy[np.ix_(inside, members)]  # (conditions, methods, seeds)
    ranks = mean_ranks(values).mean(axis=0)
    by_seed = found.accuracy[inside].mean(axis=0)  # (all methods, seeds)
    spread = critical_difference(len(members), len(inside))
    tested = friedman(values.mean(axis=2))
    planned = float(found.spent[inside, found.methods.index(BASELINE)].mean())
    rows = []
    for at in np.argsort(ranks, kind="stable"):
        m = members[at]
        name = found.methods[m]
        kind = find_allocator(name)
        row: dict[str, Any] = {
            "allocator": name,
            "estimator": kind.estimator,
            "source": kind.source,
            "mean_rank": float(ranks[at]),
            "near_best": bool(ranks[at] - ranks.min() < spread),
            "spent": float(found.spent[inside, m].mean()) / planned,
        }
        for reference, one in against.items():
            row[f"minus_{reference}"] = None
            if name == reference:
                continue
            other = found.methods.index(reference)
            row[f"minus_{reference}"] = asdict(mean_interval(by_seed[m] - by_seed[other]))
            real, up = one.outside[inside, m], one.mean[inside, m] > 0
            row[f"beats_{reference}"] = int((real & up).sum())
            row[f"loses_{reference}"] = int((real & ~up).sum())
            row[f"inside_{reference}"] = int((~real).sum())
            row[f"below_{reference}_at"] = [
                f"{found.conditions[c]['label']}, per {found.conditions[c]['weighting']}"
                for c, lost in zip(inside, real & ~up, strict=True)
                if lost
            ]
        row["minus_uniform_timed"] = None
        if name != BASELINE:
            pace = found.timed[inside].mean(axis=0)
            base = pace[found.methods.index(BASELINE)]
            row["minus_uniform_timed"] = asdict(mean_interval(pace[m] - base))
        row["never_below_uniform"] = not row.get(f"below_{BASELINE}_at")
        row["oracle_gap"] = None
        if ORACLE + name in found.methods:
            oracle = by_seed[found.methods.index(ORACLE + name)]
            row["oracle_gap"] = asdict(mean_interval(oracle - by_seed[m]))
        rows.append(row)
    return {
        "rows": rows,
        "conditions": len(inside),
        "friedman": None if tested is None else {"statistic": tested[0], "p_value": tested[1]},
        "critical_difference": spread,
    }


def statements(result: Mapping[str, Any]) -> list[str]:
    """What a reader must know, in sentences computed from the numbers."""
    lines = []
    for title, one in result["leagues"].items():
        rows, test = one["rows"], one["friedman"]
        best = rows[0]
        near = [row["allocator"] for row in rows[1:] if row["near_best"]]
        per = "both weightings" if title == "both" else f"loss weighted per {title}"
        text = (
            f"{per}, {one['conditions']} conditions: best mean rank {best['mean_rank']:.2f}, "
            f"{best['allocator']}"
        )
        if test is None or test["p_value"] >= LEVEL:
            text += "; Friedman's test finds no difference among the allocators"
        else:
            text += f" (Friedman p = {test['p_value']:.1e})"
            text += (
                f"; not told apart from it by ranks (critical difference "
                f"{one['critical_difference']:.2f}): {_listed(near)}"
                if near
                else f"; every other is further than the critical difference "
                f"{one['critical_difference']:.2f}"
            )
        safe = [
            row["allocator"]
            for row in rows
            if row["never_below_uniform"] and row["allocator"] != BASELINE
        ]
        lines.append(
            f"{text}. Never below uniform beyond the noise: {_listed(safe)} (weak with few seeds)."
        )
    every = [row for one in result["leagues"].values() for row in one["rows"]]
    rules: dict[str, dict[str, None]] = {}
    for row in every:
        rules.setdefault(row["estimator"], {})[row["allocator"]] = None
    listed = "; ".join(f"{rule}: {', '.join(sorted(names))}" for rule, names in rules.items())
    lines.append(f"Pass rates are estimated by the rule of each publication. {listed}.")
    other = sorted({row["allocator"] for row in every if abs(row["spent"] - 1.0) > 5e-4})
    if other:
        lines.append(f"Spent other totals than uniform: {', '.join(other)}.")
    share = result["compared_at"]
    cost = "the planned rollouts" if share > 0.9995 else f"{share:.1%} of the planned rollouts"
    if share <= 0.9995:
        cost += f", as far as all came ({result['shortest']} spent least)"
    lines.append(
        f"Runs are compared at {cost}; {len(result['seeds'])} seeds, paired; noise: paired "
        "t-tests, Benjamini-Hochberg at 5 % over all conditions and allocators. Conditions share "
        "seeds and were chosen, not drawn: ranks speak of these conditions."
    )
    return lines


def _listed(names: Sequence[str], most: int = 10) -> str:
    """Names in the order of the league; what goes beyond ``most`` is counted (tables name all)."""
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


# -- files ---------------------------------------------------------------------------------


def store(
    result: Mapping[str, Any], out: Path, *, command: str, versions: Mapping[str, str]
) -> None:
    """Write the numbers (JSON) and the self-contained page (HTML) below ``out``."""
    content = {"command": command, "versions": dict(versions), **result}
    write_atomically(out / NUMBERS, json.dumps(content, indent=1) + "\n")
    parts = [*(f"<p>{html.escape(line)}</p>" for line in statements(result))]
    drawn = {title: ring_figures.ranks(one, title) for title, one in result["leagues"].items()}
    for title, one in result["leagues"].items():
        named = "Both weightings of the loss" if title == "both" else f"Loss weighted per {title}"
        parts += [f"<h2>{html.escape(named)}</h2>", _league_table(one)]
        pictures = [drawn[title]]
        if title != "both" or len(result["leagues"]) == 1:
            pictures += [
                ring_figures.heatmap(result, name, title) for name in result["differences"]
            ]
        parts += [drawing(figure) for figure in pictures]
    parts += ["<h2>Conditions</h2>", _condition_table(result["conditions"]), _NOTE]
    title = "Ring of allocators"
    body = f"<h1>{title}</h1>{''.join(parts)}{provenance(command, {}, versions)}"
    write_atomically(out / REPORT, document(title, body))


_NOTE = (
    "<p>Rank 1 is best, ties share. Differences: held-out accuracy in points, mean over "
    "conditions, ± half of a 95 % interval over seeds. Beats / loses / inside: conditions beyond "
    "the noise after correction, and the rest. Oracle gap: the same allocator shown the true pass "
    "rates, minus itself; an oracle is shown the truth about pass rates, not about what helps, so "
    "the gap can be negative. Spent: rollouts of a whole run over uniform's. Modelled time: a "
    f"round {TIME.round_latency:g} s and a step {TIME.step_overhead:g} s, "
    f"{TIME.generated_per_second:g} rollouts generated and {TIME.trained_per_second:g} trained a "
    "second; every run is read at the time that all of the condition and seed reached.</p>"
)


def _league_table(one: Mapping[str, Any]) -> str:
    references = [name for name in REFERENCES if f"beats_{name}" in _keys(one["rows"])]
    head = ["allocator", "pass-rate rule", "mean rank"]
    for name in references:
        head += [f"minus {name}", f"beats / loses / inside, against {name}"]
    head += ["never below uniform beyond the noise", "minus uniform at equal modelled time"]
    head += ["oracle gap", "spent", "source"]
    body = []
    for row in one["rows"]:
        cells = [row["allocator"], row["estimator"], f"{row['mean_rank']:.2f}"]
        for name in references:
            cells += [points(row[f"minus_{name}"]), counts(row, name)]
        cells += [never_below(row), points(row["minus_uniform_timed"]), points(row["oracle_gap"])]
        cells += [f"{row['spent']:.0%}", row["source"]]
        texts = [html.escape(cell) for cell in cells]
        where = row.get(f"below_{BASELINE}_at") or []
        if where:
            at = 3 + 2 * len(references)
            items = "<br>".join(html.escape(place) for place in where)
            texts[at] = f"<details><summary>{texts[at]}</summary>{items}</details>"
        body.append(texts)
    return grid([html.escape(text) for text in head], body)


def _condition_table(conditions: Sequence[Mapping[str, Any]]) -> str:
    head = [
        "condition",
        "loss per",
        "learning rate",
        "uniform from, %",
        "to, %",
        "rise",
        "rollouts",
    ]
    body = [
        [
            html.escape(one["label"]),
            html.escape(one["weighting"]),
            f"{one['learning_rate']:g}",
            f"{100 * one['uniform_start']:.1f}",
            f"{100 * one['uniform']:.1f}",
            f"{100 * (one['uniform'] - one['uniform_start']):+.1f}",
            f"{one['rollouts']:,.0f}",
        ]
        for one in conditions
    ]
    return grid([html.escape(text) for text in head], body)


def _keys(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    return {key for row in rows for key in row}


# -- cells of a league, for the page and the terminal ---------------------------------------


def points(interval: Mapping[str, Any] | None) -> str:
    """An interval of a difference in percentage points; "-" where there is none."""
    if interval is None:
        return "-"
    text = f"{100 * interval['mean']:+.2f}"
    if interval["high"] is None:
        return text
    return f"{text} ± {100 * (interval['high'] - interval['mean']):.2f}"


def counts(row: Mapping[str, Any], reference: str) -> str:
    """Conditions in which a row beats, loses to, or cannot be told from ``reference``."""
    if f"beats_{reference}" not in row:
        return "-"
    return " / ".join(str(row[f"{name}_{reference}"]) for name in ("beats", "loses", "inside"))


def never_below(row: Mapping[str, Any]) -> str:
    """Whether an allocator is nowhere below uniform beyond the noise, or at how many conditions."""
    if row["allocator"] == BASELINE:
        return "-"
    return "yes" if row["never_below_uniform"] else f"no: {len(row[f'below_{BASELINE}_at'])}"
