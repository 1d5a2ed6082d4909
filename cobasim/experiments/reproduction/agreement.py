"""How far a simulation agrees with published numbers: orders, and pairwise claims. Pure.

Values are {case: {seed: number}}; pairs are formed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.experiments.reproduction.paper import Case, Claim, Result
from cobasim.scores import LEVEL, as_p_values, holm, mean_interval, paired_p_value

AGREES, DISAGREES, NOISE = "agrees", "disagrees", "inside the noise"
STATUSES = (AGREES, DISAGREES, NOISE)

Values = Mapping[Case, Mapping[int, float]]


@dataclass(frozen=True)
class Judged:
    """A claim beside the simulation.

    Attributes:
        claim: in words.
        paper: the paper's left minus right.
        mean, low, high: the simulated left minus right with its 95 % interval (None: one seed).
        p_value: Holm-adjusted; None with fewer than two seeds.
        status: one of STATUSES.
        margin: of a claim of similarity, the simulated margin, in the values' unit.
    """

    claim: str
    paper: float
    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    status: str
    margin: float | None = None


def kendall(published: Sequence[float], simulated: Sequence[float]) -> float | None:
    """Kendall's tau-b of two orders, in [-1, 1]; None if one of them is all ties or too short."""
    if len(published) != len(simulated):
        raise InputError(f"orders of {len(published)} and of {len(simulated)} values; expected one")
    if len(published) < 2:
        return None
    tau = float(stats.kendalltau(published, simulated).statistic)
    return None if math.isnan(tau) else tau


def order_agreement(result: Result, values: Values) -> dict[str, Any]:
    """Kendall's tau within each group, of means over seeds; and the mean over groups.

    Returns {"tau", "groups": {group: tau}, "seeds": interval over seeds of the mean}.
    """
    seeds = _common(values, list(result.numbers))
    groups = result.groups

    def taus(of: Mapping[Case, float]) -> dict[str, float | None]:
        return {
            group: kendall(
                [result.numbers[group, entry] for entry in entries],
                [of[group, entry] for entry in entries],
            )
            for group, entries in groups.items()
        }

    by_group = taus({case: float(np.mean([values[case][s] for s in seeds])) for case in values})
    single = []
    for seed in seeds:
        known = _known(taus({case: values[case][seed] for case in values}).values())
        if known:
            single.append(float(np.mean(known)))
    known = _known(by_group.values())
    return {
        "tau": float(np.mean(known)) if known else None,
        "groups": by_group,
        "seeds": asdict(mean_interval(single)) if single else None,
    }


def _known(values: Any) -> list[float]:
    return [value for value in values if value is not None]


def _common(values: Values, cases: Sequence[Case]) -> list[int]:
    missing = [case for case in cases if case not in values]
    if missing:
        raise InputError(f"no simulated value for {missing[0]}")
    seeds = set.intersection(*(set(values[case]) for case in cases))
    if not seeds:
        raise InputError("the simulated values have no seed in common")
    return sorted(seeds)


def judge(result: Result, values: Values) -> list[Judged]:
    """Every claim of a table beside the simulation; Holm over the claims of this table.

    "greater": a paired t-test; agrees or disagrees by the sign where it rejects at 5 %.
    "similar": agrees where two one-sided tests put the difference inside the margin, disagrees
    where a test puts it outside. Otherwise inside the noise, as everything is with one seed.
    """
    found = [_test(claim, values) for claim in result.claims]
    adjusted = holm(as_p_values(p for _, p, _, _ in found))
    judged = []
    for claim, (difference, p, sign, margin), value in zip(
        result.claims, found, adjusted, strict=True
    ):
        tells = p is not None and value < LEVEL
        status = (AGREES if sign > 0 else DISAGREES) if tells else NOISE
        one = mean_interval(difference)
        judged.append(
            Judged(
                claim.text,
                result.numbers[claim.left] - result.numbers[claim.right],
                one.mean,
                one.low,
                one.high,
                None if p is None else value,
                status,
                margin,
            )
        )
    return judged


def _test(claim: Claim, values: Values) -> tuple[FloatArray, float | None, float, float | None]:
    """(differences, raw p-value, sign of the verdict, margin)."""
    cases = [claim.left, claim.right, *([claim.reference] if claim.reference else [])]
    seeds = _common(values, cases)
    left, right = (np.array([values[case][s] for s in seeds]) for case in cases[:2])
    difference = left - right
    if claim.kind == "greater":
        return difference, paired_p_value(left, right), float(np.sign(difference.mean())), None
    assert claim.reference is not None
    gain = right - np.array([values[claim.reference][s] for s in seeds])
    margin = claim.margin * np.sign(gain.mean()) * gain  # (seeds,), its mean is positive
    size = float(margin.mean())
    # inside: difference above -margin and below margin; outside: below -margin or above margin
    inside = [_above_zero(margin + difference), _above_zero(margin - difference)]
    outside = [_above_zero(-margin - difference), _above_zero(difference - margin)]
    if None in inside or None in outside:
        return difference, None, 0.0, size
    within, beyond = max(_known(inside)), min(1.0, 2 * min(_known(outside)))
    if within <= beyond:
        return difference, within, 1.0, size
    return difference, beyond, -1.0, size


def _above_zero(values: FloatArray) -> float | None:
    """One-sided p-value of the t-test that the mean is above 0; None with one value."""
    two_sided = paired_p_value(values, np.zeros_like(values))
    if two_sided is None:
        return None
    return two_sided / 2 if values.mean() > 0 else 1.0 - two_sided / 2


def counts(judged: Sequence[Judged]) -> dict[str, int]:
    """How many claims have each status."""
    return {status: sum(one.status == status for one in judged) for status in STATUSES}
