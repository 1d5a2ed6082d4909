"""How far a simulation agrees with published numbers: orders, and pairwise claims. Pure.

Values are {case: {seed: number}}; pairs are formed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
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
STATUS_WORDS = {AGREES: "agrees", DISAGREES: "disagrees", NOISE: "not significant"}
"""How a status reads on pages and in sentences; files keep the status itself."""

Values = Mapping[Case, Mapping[int, float]]


@dataclass(frozen=True)
class Judged:
    """A claim of the paper, tested in the simulation.

    Attributes:
        claim: in words.
        paper: left minus right in the paper.
        mean, low, high: left minus right in the simulation, with a 95 % interval (None: one seed).
        p_value: Holm-adjusted; None with fewer than two seeds.
        status: one of STATUSES.
        margin: of a "similar" claim: the simulated margin, in the values' unit.
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
    """Kendall's tau-b of two orders, in [-1, 1]; None if one of them is all ties or too short.

    Raises InputError if they differ in length.
    """
    if len(published) != len(simulated):
        raise InputError(
            f"orders of {len(published)} and {len(simulated)} values: give equally many"
        )
    if len(published) < 2:
        return None
    tau = float(stats.kendalltau(published, simulated).statistic)
    return None if math.isnan(tau) else tau


def order_agreement(result: Result, values: Values) -> dict[str, Any]:
    """Kendall's tau within each group, of means over seeds; and the mean over groups.

    Returns {"tau", "groups": {group: tau}, "seeds": interval over single seeds of the mean}.
    Raises InputError if a case of the result has no value, or no seed has all of them.
    """
    seeds = _common_seeds(values, list(result.numbers))
    groups = result.groups

    def taus(numbers: Mapping[Case, float]) -> dict[str, float | None]:
        return {
            group: kendall(
                [result.numbers[group, entry] for entry in entries],
                [numbers[group, entry] for entry in entries],
            )
            for group, entries in groups.items()
        }

    means = {case: float(np.mean([values[case][seed] for seed in seeds])) for case in values}
    by_group = taus(means)
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


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _common_seeds(values: Values, cases: Sequence[Case]) -> list[int]:
    missing = [case for case in cases if case not in values]
    if missing:
        raise InputError(f"no simulated value for {missing[0]}")
    seeds = set.intersection(*(set(values[case]) for case in cases))
    if not seeds:
        raise InputError("the simulated values have no seed in common")
    return sorted(seeds)


def judge(result: Result, values: Values) -> list[Judged]:
    """Every claim of a table, tested in the simulation; Holm over the claims of this table.

    "greater": a paired t-test; agrees or disagrees by the sign where it rejects at 5 %.
    "similar": agrees where two one-sided tests put the difference inside the margin, disagrees
    where a test puts it outside. Otherwise it is not significant, as is everything with one seed.
    """
    tests = [
        _greater(claim, values) if claim.kind == "greater" else _similar(claim, values)
        for claim in result.claims
    ]
    adjusted = holm(as_p_values(test.p_value for test in tests))
    judged = []
    for claim, test, p_value in zip(result.claims, tests, adjusted, strict=True):
        rejects = test.p_value is not None and p_value < LEVEL
        difference = mean_interval(test.difference)
        judged.append(
            Judged(
                claim=claim.text,
                paper=result.numbers[claim.left] - result.numbers[claim.right],
                mean=difference.mean,
                low=difference.low,
                high=difference.high,
                p_value=None if test.p_value is None else p_value,
                status=(AGREES if test.sign > 0 else DISAGREES) if rejects else NOISE,
                margin=test.margin,
            )
        )
    return judged


@dataclass(frozen=True)
class _Test:
    """The test of one claim, before the correction."""

    difference: FloatArray
    """Left minus right, (seeds,)."""
    p_value: float | None
    sign: float
    """Above 0: the claim agrees where the test rejects; otherwise it disagrees."""
    margin: float | None = None


def _greater(claim: Claim, values: Values) -> _Test:
    left, right = _paired(values, claim.left, claim.right)
    difference = left - right
    return _Test(difference, paired_p_value(left, right), float(np.sign(difference.mean())))


def _similar(claim: Claim, values: Values) -> _Test:
    assert claim.reference is not None
    left, right, reference = _paired(values, claim.left, claim.right, claim.reference)
    difference, gain = left - right, right - reference
    margin = claim.margin * np.sign(gain.mean()) * gain  # (seeds,), its mean is positive
    size = float(margin.mean())
    # inside: difference above -margin and below margin; outside: below -margin or above margin
    inside = [_above_zero(margin + difference), _above_zero(margin - difference)]
    outside = [_above_zero(-margin - difference), _above_zero(difference - margin)]
    if None in inside or None in outside:
        return _Test(difference, None, 0.0, size)
    within, beyond = max(_known(inside)), min(1.0, 2 * min(_known(outside)))
    if within <= beyond:
        return _Test(difference, within, 1.0, size)
    return _Test(difference, beyond, -1.0, size)


def _paired(values: Values, *cases: Case) -> list[FloatArray]:
    """The values of each case at the seeds that all cases have, (seeds,) each."""
    seeds = _common_seeds(values, cases)
    return [np.array([values[case][seed] for seed in seeds]) for case in cases]


def _above_zero(values: FloatArray) -> float | None:
    """One-sided p-value of the t-test that the mean is above 0; None with one value."""
    two_sided = paired_p_value(values, np.zeros_like(values))
    if two_sided is None:
        return None
    return two_sided / 2 if values.mean() > 0 else 1.0 - two_sided / 2


def counts(judged: Sequence[Judged]) -> dict[str, int]:
    """How many claims have each status."""
    return {status: sum(claim.status == status for claim in judged) for status in STATUSES}
