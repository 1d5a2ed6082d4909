"""What a reader of a ring must know, in sentences computed from its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cobasim.experiments.ring.measured_world import ABSENT
from cobasim.runs import BASELINE
from cobasim.scores import LEVEL
from cobasim.world import MEASURED


def statements(result: Mapping[str, Any]) -> list[str]:
    """A sentence for each league, then how pass rates were estimated and runs compared."""
    lines = [_league(title, league) for title, league in result["leagues"].items()]
    rows = [row for league in result["leagues"].values() for row in league["rows"]]
    rules: dict[str, dict[str, None]] = {}
    for row in rows:
        rules.setdefault(row["estimator"], {})[row["allocator"]] = None
    listed = "; ".join(f"{rule}: {', '.join(sorted(names))}" for rule, names in rules.items())
    lines.append(f"Pass rates are estimated by the rule of each publication. {listed}.")
    other = sorted({row["allocator"] for row in rows if abs(row["spent"] - 1.0) > 5e-4})
    if other:
        lines.append(f"Spent other totals than uniform: {', '.join(other)}.")
    return [*_blind(result), *lines, *_world(result), _comparison(result)]


def _blind(result: Mapping[str, Any]) -> list[str]:
    """Conditions whose runs are shorter than their first epoch."""
    blind, conditions = result["blind_conditions"], len(result["conditions"])
    if not blind:
        return []
    where = "any condition" if blind == conditions else f"{blind} of {conditions} conditions"
    return [
        f"No prompt was visited twice yet in {where}: budgets were given without an estimate of "
        "the prompt's pass rate, and ranks there say nothing. Give more --steps."
    ]


def _world(result: Mapping[str, Any]) -> list[str]:
    """What a measured world leaves out."""
    world = str(result["conditions"][0]["world"])
    if not world.startswith(MEASURED):
        return []
    return [
        f"World {world}: the run that was measured, with one change in each condition. It has no "
        f"{', '.join(ABSENT)}: conditions that vary them are left out."
    ]


def _league(title: str, league: Mapping[str, Any]) -> str:
    rows, test = league["rows"], league["friedman"]
    best, spread = rows[0], f"{league['critical_difference']:.2f}"
    near = [row["allocator"] for row in rows[1:] if row["near_best"]]
    per = "both weightings" if title == "both" else f"loss weighted per {title}"
    text = (
        f"{per}, {league['conditions']} conditions: best mean rank {best['mean_rank']:.2f}, "
        f"{best['allocator']}"
    )
    if test is None or test["p_value"] >= LEVEL:
        text += "; Friedman's test finds no difference among the allocators"
    else:
        text += f" (Friedman p = {test['p_value']:.1e})"
        text += (
            f"; statistically tied with it by rank (critical difference {spread}): {_listed(near)}"
            if near
            else f"; every other is further than the critical difference {spread}"
        )
    safe = [
        row["allocator"]
        for row in rows
        if row["never_below_uniform"] and row["allocator"] != BASELINE
    ]
    return f"{text}. Never significantly below uniform: {_listed(safe)} (weak with few seeds)."


def _comparison(result: Mapping[str, Any]) -> str:
    share = result["compared_at"]
    cost = "the planned rollouts" if share > 0.9995 else f"{share:.1%} of the planned rollouts"
    if share <= 0.9995:
        cost += f", which all of them reached ({result['shortest']} spent least)"
    return (
        f"Runs are compared at {cost}; {len(result['seeds'])} seeds, paired; tested by paired "
        "t-tests, Benjamini-Hochberg at 5 % over all conditions and allocators. Conditions share "
        "seeds and were chosen, not drawn: ranks hold for these conditions only."
    )


def _listed(names: Sequence[str], most: int = 10) -> str:
    """Names in the order of the league; those beyond ``most`` are counted (tables name all)."""
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
