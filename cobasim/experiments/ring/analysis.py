"""The analysis of a ring: paired differences, and leagues by mean rank. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cobasim.allocation import find_allocator
from cobasim.arrays import FloatArray
from cobasim.errors import unknown_name
from cobasim.experiments.ring.outcomes import Outcomes
from cobasim.runs import BASELINE, ORACLE
from cobasim.scores import (
    LEVEL,
    as_p_values,
    critical_difference,
    false_discovery,
    friedman,
    mean_interval,
    mean_ranks,
    paired_p_value,
)

REFERENCES = (BASELINE, "coba")


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
        """Where a difference is significant."""
        return np.asarray(self.adjusted < LEVEL)


def differences(outcomes: Outcomes, reference: str) -> Differences:
    """Paired differences of every method to ``reference``. Raises InputError if it was not run."""
    if reference not in outcomes.methods:
        raise unknown_name("allocator", reference, outcomes.methods)
    base = outcomes.accuracy[:, outcomes.methods.index(reference)]  # (conditions, seeds)
    mean = (outcomes.accuracy - base[:, None]).mean(axis=2)
    adjusted = np.ones(mean.shape)
    tested = [m for m in outcomes.league if outcomes.methods[m] != reference]
    raw = [
        as_p_values(paired_p_value(own[m], even) for m in tested)
        for own, even in zip(outcomes.accuracy, base, strict=True)
    ]
    adjusted[:, tested] = false_discovery(raw)
    return Differences(reference, mean, adjusted)


def analyse(outcomes: Outcomes) -> dict[str, Any]:
    """All numbers of a ring as plain values: leagues, tests, and differences by condition."""
    against = {name: differences(outcomes, name) for name in REFERENCES if name in outcomes.methods}
    weightings = list(dict.fromkeys(row["weighting"] for row in outcomes.conditions))
    groups = {"both": weightings} if len(weightings) > 1 else {}
    groups |= {name: [name] for name in weightings}
    leagues = {}
    for title, members in groups.items():
        inside = [c for c, row in enumerate(outcomes.conditions) if row["weighting"] in members]
        leagues[title] = league(outcomes, against, inside)
    planned = float(outcomes.spent[:, outcomes.methods.index(BASELINE)].mean())
    ranks = mean_ranks(outcomes.accuracy[:, outcomes.league]).T
    return {
        "seeds": list(outcomes.seeds),
        "methods": list(outcomes.methods),
        "level": LEVEL,
        "leagues": leagues,
        "compared_at": float(outcomes.common.mean()) / planned,
        "shortest": outcomes.methods[int(np.argmin(outcomes.spent.mean(axis=(0, 2))))],
        "blind_conditions": int(outcomes.blind.sum()),
        "conditions": _conditions(outcomes),
        "differences": {name: _by_method(outcomes, each) for name, each in against.items()},
        "ranks": {
            outcomes.methods[m]: row.tolist() for m, row in zip(outcomes.league, ranks, strict=True)
        },
    }


def _conditions(outcomes: Outcomes) -> list[dict[str, Any]]:
    """Settings of each condition, and uniform's accuracy there."""
    base = outcomes.accuracy[:, outcomes.methods.index(BASELINE)]
    return [
        {
            **row,
            "uniform_start": float(outcomes.start[c].mean()),
            "uniform": float(base[c].mean()),
            "rollouts": float(outcomes.common[c].mean()),
            "seconds": float(outcomes.seconds[c].sum()),
        }
        for c, row in enumerate(outcomes.conditions)
    ]


def _by_method(outcomes: Outcomes, against: Differences) -> dict[str, list[dict[str, float]]]:
    """Difference and p-value of each competing method in every condition."""
    return {
        outcomes.methods[m]: [
            {"mean": float(mean), "adjusted_p": float(p)}
            for mean, p in zip(against.mean[:, m], against.adjusted[:, m], strict=True)
        ]
        for m in outcomes.league
    }


def league(
    outcomes: Outcomes, against: Mapping[str, Differences], inside: Sequence[int]
) -> dict[str, Any]:
    """Ranks, differences and tests over the conditions ``inside``, the best mean rank first."""
    members = outcomes.league
    values = outcomes.accuracy[np.ix_(inside, members)]  # (conditions, methods, seeds)
    ranks = mean_ranks(values).mean(axis=0)
    spread = critical_difference(len(members), len(inside))
    tested = friedman(values.mean(axis=2))
    rows = []
    for place in np.argsort(ranks, kind="stable"):
        m = members[place]
        kind = find_allocator(outcomes.methods[m])
        row: dict[str, Any] = {
            "allocator": outcomes.methods[m],
            "estimator": kind.estimator,
            "source": kind.source,
            "mean_rank": float(ranks[place]),
            "near_best": bool(ranks[place] - ranks.min() < spread),
        }
        rows.append(row | _scores(outcomes, against, inside, m))
    return {
        "rows": rows,
        "conditions": len(inside),
        "friedman": None if tested is None else {"statistic": tested[0], "p_value": tested[1]},
        "critical_difference": spread,
    }


def _scores(
    outcomes: Outcomes, against: Mapping[str, Differences], inside: Sequence[int], m: int
) -> dict[str, Any]:
    """What a method spends, and how it stands to the references and to its oracle."""
    name, uniform = outcomes.methods[m], outcomes.methods.index(BASELINE)
    by_seed = outcomes.accuracy[inside].mean(axis=0)  # (methods, seeds)
    planned = float(outcomes.spent[inside, uniform].mean())
    row: dict[str, Any] = {"spent": float(outcomes.spent[inside, m].mean()) / planned}
    for reference, each in against.items():
        row[f"minus_{reference}"] = None
        if name == reference:
            continue
        other = outcomes.methods.index(reference)
        row[f"minus_{reference}"] = asdict(mean_interval(by_seed[m] - by_seed[other]))
        beyond, above = each.outside[inside, m], each.mean[inside, m] > 0
        row[f"beats_{reference}"] = int((beyond & above).sum())
        row[f"loses_{reference}"] = int((beyond & ~above).sum())
        row[f"inside_{reference}"] = int((~beyond).sum())
        row[f"below_{reference}_at"] = [
            f"{outcomes.conditions[c]['label']}, per {outcomes.conditions[c]['weighting']}"
            for c, lost in zip(inside, beyond & ~above, strict=True)
            if lost
        ]
    row["minus_uniform_timed"] = None
    if name != BASELINE:
        pace = outcomes.timed[inside].mean(axis=0)
        row["minus_uniform_timed"] = asdict(mean_interval(pace[m] - pace[uniform]))
    row["never_below_uniform"] = not row.get(f"below_{BASELINE}_at")
    row["oracle_gap"] = None
    if ORACLE + name in outcomes.methods:
        oracle = by_seed[outcomes.methods.index(ORACLE + name)]
        row["oracle_gap"] = asdict(mean_interval(oracle - by_seed[m]))
    return row
