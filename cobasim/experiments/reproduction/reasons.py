"""Which of the tested reasons reverses a claim, or brings it nearer to the paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cobasim.experiments.reproduction.ablations import BASE
from cobasim.experiments.reproduction.agreement import AGREES, DISAGREES, STATUS_WORDS
from cobasim.experiments.reproduction.plan import ABLATIONS
from cobasim.experiments.reproduction.words import half_width, signed
from cobasim.scores import LEVEL
from cobasim.updates import WEIGHTINGS


def other_weighting(weighting: str) -> str:
    """The other one of the two weightings of the loss."""
    return next(name for name in WEIGHTINGS if name != weighting)


def reasons(
    tried: Mapping[str, Any], other: Mapping[str, Any], weighting: str
) -> list[dict[str, Any]]:
    """What reverses each contrast, or brings it nearer or further, by the tests of ``ablations``.

    Args:
        tried: ``ablations`` under ``weighting``.
        other: the same world under the other weighting, which is a tested reason as well.
        weighting: of the loss.
    """
    rows = []
    others = {claim["claim"]: claim for claim in other[BASE]["claims"]}
    for place, base in enumerate(tried[BASE]["claims"]):
        changed = {ablation.name: tried[ablation.name]["claims"][place] for ablation in ABLATIONS}
        moved = {
            name: claim["change"]["mean"]
            for name, claim in changed.items()
            if claim["change"]["p_value"] is not None and claim["change"]["p_value"] < LEVEL
        }
        statuses = {name: claim["status"] for name, claim in changed.items()}
        statuses[f"loss per {other_weighting(weighting)}"] = others[base["claim"]]["status"]
        row = {
            "claim": base["claim"],
            "status": base["status"],
            "paper": base["paper"],
            "mean": base["mean"],
            "high": base["high"],
            "share": base["share"],
            "agrees under": [name for name, status in statuses.items() if status == AGREES],
            "disagrees under": [name for name, status in statuses.items() if status == DISAGREES],
            "nearer": {name: value for name, value in moved.items() if value > 0},
            "further": {name: value for name, value in moved.items() if value < 0},
        }
        row["likeliest"] = likeliest(row)
        rows.append(row | {"words": _words(row)})
    return rows


def likeliest(row: Mapping[str, Any]) -> str | None:
    """The tested reason that explains most of a claim that fails; None if none does.

    Candidates: the other weighting, where it makes the claim agree, and ablations that bring the
    claim significantly nearer and make it agree or close at least half of the gap.
    """
    if row["status"] == AGREES or row["share"] is None:
        return None
    half = abs(min(row["share"], 0.0)) / 2
    turned, nearer = row["agrees under"], row["nearer"]
    explain = [name for name, value in nearer.items() if name in turned or value >= half > 0]
    weighting = [name for name in turned if name.startswith("loss per")]
    return str(max(explain, key=nearer.__getitem__)) if explain else next(iter(weighting), None)


def _words(row: Mapping[str, Any]) -> str:
    text = (
        f"paper {signed(row['paper'])}, simulated {signed(row['mean'])}{half_width(row)} points: "
        f"{STATUS_WORDS[row['status']]}. "
    )
    if row["status"] == AGREES:
        lost = row["disagrees under"]
        return text + (
            f"It is reversed by: {', '.join(lost)}." if lost else "No tested change reverses it."
        )
    turned = row["agrees under"]
    text += (
        f"It agrees under: {', '.join(turned)}." if turned else "No tested change makes it agree."
    )
    nearer = sorted(row["nearer"].items(), key=lambda item: -item[1])
    if nearer:
        shown = ", ".join(f"{name} ({signed(value, 0)} %)" for name, value in nearer)
        text += f" Significantly nearer to the paper in units of uniform's rise: {shown}."
    else:
        text += " In units of uniform's rise none of the ablations brings it nearer."
    best = row["likeliest"]
    return text + (
        f" Likeliest of the tested reasons: {best}."
        if best
        else " None of the tested reasons explains it."
    )


def reason_counts(why: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each tested reason: how many contrasts it makes agree or disagree, brings nearer or away.

    why: ``reasons`` by world and weighting. Nearer and further: None for the weighting.
    """
    rows = [{"reason": ablation.name, **_counted(why, ablation.name)} for ablation in ABLATIONS]
    weighting = _counted(why, None) | {"nearer": None, "further": None}
    return [*rows, {"reason": "the other weighting of the loss", **weighting}]


def _counted(why: Mapping[str, Any], ablation: str | None) -> dict[str, int | None]:
    """Contrasts that an ablation moves; with None, that the other weighting moves."""
    counted = {"made to agree": 0, "made to disagree": 0, "nearer": 0, "further": 0}
    for by_weighting in why.values():
        for weighting, rows in by_weighting.items():
            reason = ablation or f"loss per {other_weighting(weighting)}"
            for row in rows:
                agrees, fails = reason in row["agrees under"], reason in row["disagrees under"]
                counted["made to agree"] += agrees and row["status"] != AGREES
                counted["made to disagree"] += fails and row["status"] != DISAGREES
                counted["nearer"] += reason in row["nearer"]
                counted["further"] += reason in row["further"]
    return dict(counted)
