"""What is not reproduced, what would change it, and the ablations that were run to find out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cobasim.experiments.reproduction.ablations import BASE
from cobasim.experiments.reproduction.agreement import AGREES, DISAGREES, NOISE
from cobasim.experiments.reproduction.page import cells
from cobasim.experiments.reproduction.plan import ABLATIONS
from cobasim.experiments.reproduction.rows import Combination
from cobasim.report import ABSENT, definitions, escape, grid
from cobasim.scores import LEVEL

_COUNTS = ("made to agree", "made to disagree", "nearer", "further")


def reasons_section(content: Mapping[str, Any]) -> str:
    """Every claim on the reference model, and which tested reason changes it."""
    combinations = cells.combinations(content)
    agreeing: dict[str, dict[Combination, str]] = {}
    for row in content["conditions"]:
        text = f'{row[AGREES]}<span class="unit">{row[DISAGREES]} disagree</span>'
        agreeing.setdefault(row["condition"], {})[row["world"], row["weighting"]] = text
    overview = [
        [escape(name), *(by_combination[combination] for combination in combinations)]
        for name, by_combination in agreeing.items()
    ]
    counted = [
        [
            escape(row["reason"]),
            *(ABSENT if row[name] is None else str(row[name]) for name in _COUNTS),
        ]
        for row in content["reason counts"]
    ]
    details = "".join(
        f"<h3>{cells.title((world, weighting))}</h3>{_lists(content['reasons'][world][weighting])}"
        for world, weighting in combinations
    )
    return (
        '<section id="reasons"><h2>What is not reproduced, and what would change it</h2>'
        "<p>Every claim of Tables 1 to 3 on the reference model that involves CoBA or plain GRPO. "
        "Each suspected reason is tested alone, by runs of its own (table below); reasons that "
        "change nothing are listed too. “Nearer” and “reversed” are tests over seeds, "
        "Holm-corrected. Nearer is measured in units of uniform’s rise over the run, so that a "
        "world in which everything moves less does not count as nearer. A change that brings a "
        "claim nearer is a candidate, not proof of the cause in the paper’s models.</p>"
        + grid(["condition: claims that agree", *map(cells.head, combinations)], overview)
        + grid(["tested reason: claims", *_COUNTS], counted)
        + details
        + "</section>"
    )


def _lists(rows: Sequence[Mapping[str, Any]]) -> str:
    """Claims by status, each with its reasons in words."""
    parts = []
    for text, status in (
        ("Not reproduced", DISAGREES),
        ("Undecided: not significant", NOISE),
        ("Reproduced, and what would overturn it", AGREES),
    ):
        items = "".join(
            f"<li><b>{cells.short_claim(row['claim'])}</b>: {escape(row['words'])}</li>"
            for row in rows
            if row["status"] == status
        )
        if items:
            parts.append(f"<p><b>{text}</b></p><ul>{items}</ul>")
    return "".join(parts)


def ablations_section(content: Mapping[str, Any]) -> str:
    """The contrasts under every ablation, a table per world and weighting."""
    parts = [
        f"<h3>{cells.title((world, weighting))}</h3>"
        + _ablation_table(content["ablations"][world][weighting])
        for world, weighting in cells.combinations(content)
    ]
    questions = definitions({ablation.name: ablation.question for ablation in ABLATIONS})
    return (
        '<section id="ablations"><h2>Suspected reasons, tested</h2>'
        + questions
        + "<p>Each column changes one thing. Below the difference in points: the same in % of "
        "uniform’s rise over the run, and its change from the first column, paired by seed and "
        "bold where it is significant (Holm over all changes of a table).</p>"
        + "".join(parts)
        + "</section>"
    )


def _ablation_table(tried: Mapping[str, Any]) -> str:
    rows = [
        [
            "rise of uniform over the run",
            *(cells.interval(condition["rise"], "+") for condition in tried.values()),
        ]
    ]
    for place, base in enumerate(tried[BASE]["claims"]):
        changed = [tried[name]["claims"][place] for name in tried if name != BASE]
        rows.append(
            [
                cells.short_claim(base["claim"]),
                f'{cells.judged(base)}<span class="unit">{_share(base)}</span>',
                *map(_changed_cell, changed),
            ]
        )
    return grid(["left minus right, points", *map(escape, tried)], rows)


def _share(claim: Mapping[str, Any]) -> str:
    return f"{cells.number(claim['share'], 0, '+')} %"


def _changed_cell(claim: Mapping[str, Any]) -> str:
    change = claim["change"]
    text = f"{_share(claim)}, change {cells.number(change['mean'], 0, '+')} %"
    if change["p_value"] is not None and change["p_value"] < LEVEL:
        text = f"<b>{text}</b>"
    return f'{cells.judged(claim)}<span class="unit">{text}</span>'
