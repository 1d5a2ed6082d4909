"""The outcomes of a ring: accuracies of all runs at equal rollouts, and at equal modelled time.

Runs are read at the rollouts that all of them reached, so that an allocator which spends more or
less than planned is compared with the others at equal cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import BoolArray, FloatArray
from cobasim.errors import InputError
from cobasim.experiments.ring.measured_world import COLUMNS, TAU, measured_label
from cobasim.experiments.ring.planning import condition
from cobasim.scores import is_oracle
from cobasim.world import MEASURED


@dataclass(frozen=True)
class Outcomes:
    """Accuracies of a ring at equal rollouts.

    Attributes:
        conditions: label, weighting and settings of each condition.
        methods: allocators, oracles included.
        seeds: of the runs.
        accuracy: (conditions, methods, seeds) held-out accuracy at ``common`` rollouts.
        timed: (conditions, methods, seeds) held-out accuracy at the modelled time (``TIME``) that
            every run of the condition and seed reached.
        start: (conditions, seeds) before any update.
        common: (conditions, seeds) rollouts that every run of the condition and seed reached.
        spent: (conditions, methods, seeds) rollouts of whole runs.
        seconds: (conditions, methods, seeds) that a run took.
        blind: (conditions,) whether no prompt was visited twice, by any method that competes.
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
    blind: BoolArray

    @property
    def league(self) -> list[int]:
        """Positions of the methods that compete: all but the oracles."""
        return [at for at, name in enumerate(self.methods) if not is_oracle(name)]


def label_of(row: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """A condition in a few words, such as ``logistic, math, noise 10+20, regime``.

    In a measured world: in what it differs from the ``first`` condition.
    """
    if _is_measured(row):
        return measured_label(row, first)
    measured = row["pass_rates"] not in (None, "null")
    population = "measured" if measured else row["population"]
    noise = f"noise {row['noise']:g}+{row['prompt_noise']:g}"
    regime = ", regime" if row["regime_step"] not in (None, "null") else ""
    return f"{row['world']}, {population}, {noise}{regime}"


def _is_measured(row: Mapping[str, Any]) -> bool:
    return str(row["world"]).startswith(MEASURED)


def _columns(row: Mapping[str, Any]) -> list[str]:
    """The settings by which conditions differ."""
    if not _is_measured(row):
        return list(condition("logistic", "math"))
    return ["world", *COLUMNS, *([TAU] if TAU in row else [])]


def read_outcomes(rows: Sequence[Mapping[str, Any]]) -> Outcomes:
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
    blind = np.ones(shape[0], dtype=bool)
    conditions = []
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
            blind[c] &= all(
                run.get("known_share") == 0.0 for run in runs if not is_oracle(run["allocator"])
            )
        row = table[weighting, point, methods[0], seeds[0]]
        swept = {name: row[name] for name in _columns(row)}
        label = label_of(row, table[weighting, keys[0][1], methods[0], seeds[0]])
        conditions.append({"label": label, "weighting": weighting, "point": point, **swept})
    return Outcomes(
        tuple(conditions), methods, seeds, accuracy, timed, start, common, spent, seconds, blind
    )
