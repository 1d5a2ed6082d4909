"""The tables and figures of arXiv 2602.03048, and the same questions put to the simulation.

One sweep holds all runs (``plan``). From its rows come the numbers to compare with the
paper's (``tables``), how far they agree (``agreement``), what changes when a suspected reason is
changed (``ablations``, ``reasons``), and the part of the weighting of the loss (``weighting``).
Only rows and solver times are stored; everything else is computed from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from cobasim.experiments.reproduction import paper
from cobasim.experiments.reproduction.ablations import ablations, conditions
from cobasim.experiments.reproduction.page import reproduction_page
from cobasim.experiments.reproduction.paper import COBA, KNAPSACK
from cobasim.experiments.reproduction.plan import (
    MODELS,
    Preset,
    distinct_runs,
    learning_rate,
    sweep_of,
)
from cobasim.experiments.reproduction.reasons import other_weighting, reason_counts, reasons
from cobasim.experiments.reproduction.rows import (
    Combination,
    SimulatedRuns,
    by_combination,
    details,
)
from cobasim.experiments.reproduction.solver_times import table_4
from cobasim.experiments.reproduction.summary import best_condition, headline, summary
from cobasim.experiments.reproduction.tables import alphas, beside, largest_budget, published
from cobasim.experiments.reproduction.weighting import decomposition, pull_words, pulls
from cobasim.files import write_atomically
from cobasim.records import own_versions
from cobasim.runs import claim, run_sweep
from cobasim.updates import WEIGHTINGS
from cobasim.world import WORLDS

REPORT, NUMBERS = "reproduction.html", "reproduction.json"

T = TypeVar("T")


def reproduce(
    preset: Preset,
    out: Path,
    *,
    command: str,
    jobs: int | None = None,
    on_finished: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Run what is missing below ``out``, and write the numbers (JSON) and the report (HTML).

    Args:
        preset: size of every run, and the number of seeds.
        out: folder; runs that it has already are not repeated.
        command: how this was called, for the report.
        jobs: processes at a time; None: one per processor.
        on_finished: gets the number of runs just stored, those of an earlier start included.

    Returns the numbers as written. Raises InputError if ``out`` holds another preset's runs, or
    files of something else.
    """
    sweep, keys = sweep_of(preset)
    claim(sweep, out)
    rows = run_sweep(sweep, out, jobs=jobs, on_finished=on_finished, measure=details)
    table = by_combination(rows.to_pylist(), keys)
    numbers = analyse(table, preset)
    content = {
        "source": paper.SOURCE,
        "command": command,
        "versions": own_versions(),
        "preset": asdict(preset),
        "seeds": list(range(preset.seeds)),
        "runs": distinct_runs(sweep),
        "models": {name: asdict(model) for name, model in MODELS.items()},
        "learning rates": {world: learning_rate(world, preset.steps) for world in WORLDS},
        **numbers,
        "table-4": table_4(out),
    }
    write_atomically(out / NUMBERS, json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_atomically(out / REPORT, reproduction_page(content, table))
    return content


def analyse(table: Mapping[Combination, SimulatedRuns], preset: Preset) -> dict[str, Any]:
    """Every number that follows from the runs, and the sentences about them."""
    results = {key: _result(result, table) for key, result in paper.RESULTS.items()}
    tried = _everywhere(lambda world, weighting: ablations(table[world, weighting]))
    why = _everywhere(
        lambda world, weighting: reasons(
            tried[world][weighting], tried[world][other_weighting(weighting)], weighting
        )
    )
    under_conditions = conditions(tried)
    summarised = summary(results)
    return {
        "headline": [*headline(summarised), best_condition(under_conditions)],
        "summary": summarised,
        "results": results,
        "peak budget": {
            "paper": list(paper.FIGURE_4_PEAK),
            "simulated": _everywhere(
                lambda world, weighting: largest_budget(table[world, weighting])
            ),
        },
        "alphas": alphas(),
        "ablations": tried,
        "reasons": why,
        "reason counts": reason_counts(why),
        "conditions": under_conditions,
        "loss weighting": _loss_weighting(table, preset),
    }


def _result(result: paper.Result, table: Mapping[Combination, SimulatedRuns]) -> dict[str, Any]:
    return {
        "title": result.title,
        "unit": result.unit,
        "paper": published(result),
        "simulated": _everywhere(lambda world, weighting: beside(result, table[world, weighting])),
    }


def _loss_weighting(table: Mapping[Combination, SimulatedRuns], preset: Preset) -> dict[str, Any]:
    pulled = pulls(preset)
    return {
        "pulls": pulled,
        "words": pull_words(pulled),
        "decomposition": {
            world: {name: decomposition(table, world, name) for name in (COBA, KNAPSACK)}
            for world in WORLDS
        },
    }


def _everywhere(make: Callable[[str, str], T]) -> dict[str, dict[str, T]]:
    """{world: {weighting: make(world, weighting)}}."""
    return {
        world: {weighting: make(world, weighting) for weighting in WEIGHTINGS} for world in WORLDS
    }
