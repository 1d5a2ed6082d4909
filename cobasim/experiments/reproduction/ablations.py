"""The claims on the reference model in worlds where one suspected reason is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.experiments.reproduction import agreement, paper
from cobasim.experiments.reproduction.agreement import Values
from cobasim.experiments.reproduction.paper import COBA, GRPO, REFERENCE, Claim, Result
from cobasim.experiments.reproduction.plan import ABLATIONS
from cobasim.experiments.reproduction.rows import SimulatedRuns
from cobasim.runs import ORACLE
from cobasim.scores import as_p_values, holm, mean_interval, paired_p_value

BASE = "as it is"
"""Name of the condition in which nothing is changed."""


def contrasts() -> Result:
    """The claims of Tables 1 to 3 on the reference model that involve CoBA, or are against GRPO."""
    tables = [paper.RESULTS[key] for key in ("table-1", "table-2", "table-3")]
    numbers = {
        case: value
        for table in tables
        for case, value in table.numbers.items()
        if case[0] == REFERENCE
    }
    chosen = tuple(
        claim
        for table in tables
        for claim in table.claims
        if claim.left[0] == REFERENCE and (claim.left[1] == COBA or claim.right[1] == GRPO)
    )
    return Result("contrasts", "Claims of Tables 1 to 3 on the reference model", numbers, chosen)


def ablations(runs: SimulatedRuns) -> dict[str, Any]:
    """The contrasts under every ablation, and how far each ablation moves them.

    A contrast is measured in % of uniform's rise over the run, so that a world in which everything
    moves less does not look like one in which allocators differ less. A change is that under the
    ablation minus that without, paired by seed; its p-value is Holm-adjusted over all changes of
    this world and weighting, and None where uniform does not rise.

    Returns {condition: {"rise": interval, "claims": one dict per contrast}}.
    """
    claims = contrasts()
    tested = {BASE: _tested(claims, runs, REFERENCE, oracle=False)}
    for ablation in ABLATIONS:
        arm = REFERENCE if ablation.oracle else ablation.name
        tested[ablation.name] = _tested(claims, runs, arm, oracle=ablation.oracle)
    changes = [
        (name, place, share - tested[BASE][1][place])
        for name, (_, shares) in tested.items()
        if name != BASE
        for place, share in enumerate(shares)
    ]
    p_values = [
        paired_p_value(change, np.zeros_like(change)) if np.isfinite(change).all() else None
        for _, _, change in changes
    ]
    adjusted = holm(as_p_values(p_values))
    for (name, place, change), p, value in zip(changes, p_values, adjusted, strict=True):
        known = np.isfinite(change).all()
        tested[name][0]["claims"][place]["change"] = {
            "mean": float(change.mean()) if known else None,
            "p_value": None if p is None else value,
        }
    return {name: numbers for name, (numbers, _) in tested.items()}


def _tested(
    claims: Result, runs: SimulatedRuns, arm: str, *, oracle: bool
) -> tuple[dict[str, Any], list[FloatArray]]:
    """The contrasts in one arm, as plain values; and each in % of uniform's rise, (seeds,)."""
    values: Values = {
        case: runs.accuracy(arm, ORACLE + case[1] if oracle and case[1] != GRPO else case[1])
        for case in claims.numbers
    }
    first = runs.accuracy(arm, GRPO, "first_heldout")
    rise = np.array([values[REFERENCE, GRPO][seed] - first[seed] for seed in first])
    scale = np.where(rise > 0, rise, np.nan) / 100
    shares = [_gap(claim, values) / scale for claim in claims.claims]
    judged = [
        asdict(claim) | {"share": float(share.mean()) if np.isfinite(share).all() else None}
        for claim, share in zip(agreement.judge(claims, values), shares, strict=True)
    ]
    return {"rise": asdict(mean_interval(rise)), "claims": judged}, shares


def _gap(claim: Claim, values: Values) -> FloatArray:
    """Left minus right (seeds,)."""
    left, right = values[claim.left], values[claim.right]
    return np.array([left[seed] - right[seed] for seed in sorted(left)])


def conditions(tried: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Number of contrasts by status without and under each ablation, by world and weighting.

    tried: {world: {weighting: ``ablations``}}.
    """
    return [
        {
            "condition": name,
            "world": world,
            "weighting": weighting,
            **{
                status: sum(claim["status"] == status for claim in numbers["claims"])
                for status in agreement.STATUSES
            },
        }
        for world, by_weighting in tried.items()
        for weighting, by_condition in by_weighting.items()
        for name, numbers in by_condition.items()
    ]
