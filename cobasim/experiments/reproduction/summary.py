"""How far the paper's claims agree: one row per table or figure, and sentences over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cobasim.experiments.reproduction.agreement import (
    AGREES,
    DISAGREES,
    NOISE,
    STATUS_WORDS,
    STATUSES,
)
from cobasim.experiments.reproduction.words import signed
from cobasim.updates import WEIGHTINGS
from cobasim.world import WORLDS


def summary(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per table or figure, world and weighting: tau, claims by status, and in words."""
    rows = []
    for key, result in results.items():
        for world, by_weighting in result["simulated"].items():
            for weighting, simulated in by_weighting.items():
                order, counted = simulated["order"], simulated["counts"]
                tau = None if order is None else order["tau"]
                rows.append(
                    {
                        "result": key, "title": result["title"], "world": world,
                        "weighting": weighting, "tau": tau, **counted,
                        "words": _words(tau, counted),
                    }
                )  # fmt: skip
    return rows


def _words(tau: float | None, counted: Mapping[str, int]) -> str:
    total = sum(counted.values())
    if not total:
        return "not measured"
    plural = STATUS_WORDS | {AGREES: "agree", DISAGREES: "disagree"}
    parts = [f"{number} of {total} {plural[name]}" for name, number in counted.items() if number]
    return ", ".join(parts) + ("" if tau is None else f"; tau {signed(tau)}")


def best_condition(rows: Sequence[Mapping[str, Any]]) -> str:
    """Under which condition most contrasts agree, in words; ``rows`` of ``conditions``."""
    best = max(rows, key=lambda row: row[AGREES] - row[DISAGREES])
    total = sum(best[name] for name in STATUSES)
    return (
        f"Of the {total} claims on the reference model that were put to every condition, most "
        f"agree in the {best['world']} world with the loss per {best['weighting']}, "
        f"{best['condition']}: {best[AGREES]} agree, {best[DISAGREES]} disagree."
    )


def headline(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence per world and weighting over all tables and figures; ``rows`` of ``summary``."""
    return [_over_all(world, weighting, rows) for world in WORLDS for weighting in WEIGHTINGS]


def _over_all(world: str, weighting: str, rows: Sequence[Mapping[str, Any]]) -> str:
    mine = [row for row in rows if row["world"] == world and row["weighting"] == weighting]
    counted = {name: sum(row[name] for row in mine) for name in STATUSES}
    taus = [row["tau"] for row in mine if row["tau"] is not None]
    failing = [row["title"].split(":")[0] for row in mine if row[DISAGREES]]
    text = (
        f"{world} world, loss per {weighting}: of {sum(counted.values())} claims of the paper "
        f"{counted[AGREES]} agree, {counted[DISAGREES]} disagree and {counted[NOISE]} are "
        f"{STATUS_WORDS[NOISE]}"
    )
    text += f"; mean tau {signed(float(np.mean(taus)))}." if taus else "."
    return text + (f" Claims that disagree are in {', '.join(failing)}." if failing else "")
