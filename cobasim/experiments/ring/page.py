"""The page of a ring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cobasim.experiments import frame
from cobasim.experiments.ring.analysis import REFERENCES
from cobasim.experiments.ring.cells import counts, never_below, points
from cobasim.experiments.ring.figures import heatmap, ranks
from cobasim.experiments.ring.planning import TIME
from cobasim.experiments.ring.sentences import statements
from cobasim.report import drawing, escape, grid
from cobasim.runs import BASELINE

NAME = "ring"
REPORT, NUMBERS = f"{NAME}.html", f"{NAME}.json"


def store(result: Mapping[str, Any], out: Path, *, command: str) -> list[Path]:
    """Write the self-contained page (HTML) and the numbers (JSON) below ``out``; their paths."""
    return frame.store(out, NAME, result, page(result), command=command)


def page(result: Mapping[str, Any]) -> frame.Page:
    """Statements, a table and figures for each league, and the conditions."""
    parts = [frame.paragraphs(statements(result))]
    for title, league in result["leagues"].items():
        named = "Both weightings of the loss" if title == "both" else f"Loss weighted per {title}"
        parts += [f"<h2>{escape(named)}</h2>", _league_table(league)]
        pictures = [ranks(league, title)]
        if title != "both" or len(result["leagues"]) == 1:
            pictures += [heatmap(result, name, title) for name in result["differences"]]
        parts += [drawing(figure) for figure in pictures]
    parts += ["<h2>Conditions</h2>", _condition_table(result["conditions"]), _NOTE]
    return frame.Page("Ring of allocators", parts)


_NOTE = (
    "<p>Rank 1 is best, ties share. Differences: held-out accuracy in points, mean over "
    "conditions, ± half of a 95 % interval over seeds. Beats / loses / not significant: "
    "numbers of conditions, after correction. Oracle gap: the same allocator shown the true pass "
    "rates, minus itself; an oracle knows the pass rates, not what helps, so the gap can be "
    "negative. Spent: rollouts of a whole run over uniform's. Modelled time: a "
    f"round {TIME.round_latency:g} s and a step {TIME.step_overhead:g} s, "
    f"{TIME.generated_per_second:g} rollouts generated and {TIME.trained_per_second:g} trained a "
    "second; every run is read at the time that all of the condition and seed reached.</p>"
)


def _league_table(league: Mapping[str, Any]) -> str:
    keys = {key for row in league["rows"] for key in row}
    references = [name for name in REFERENCES if f"beats_{name}" in keys]
    head = ["allocator", "pass-rate rule", "mean rank"]
    for name in references:
        head += [f"minus {name}", f"beats / loses / not significant, against {name}"]
    head += ["never significantly below uniform", "minus uniform at equal modelled time"]
    head += ["oracle gap", "spent", "source"]
    body = []
    for row in league["rows"]:
        cells = [row["allocator"], row["estimator"], f"{row['mean_rank']:.2f}"]
        for name in references:
            cells += [points(row[f"minus_{name}"]), counts(row, name)]
        cells += [never_below(row), points(row["minus_uniform_timed"]), points(row["oracle_gap"])]
        cells += [f"{row['spent']:.0%}", row["source"]]
        texts = [escape(cell) for cell in cells]
        where = row.get(f"below_{BASELINE}_at") or []
        if where:
            at = 3 + 2 * len(references)
            items = "<br>".join(escape(place) for place in where)
            texts[at] = f"<details><summary>{texts[at]}</summary>{items}</details>"
        body.append(texts)
    return grid([escape(text) for text in head], body)


def _condition_table(conditions: Sequence[Mapping[str, Any]]) -> str:
    head = [
        "condition",
        "loss per",
        "learning rate",
        "uniform from, %",
        "to, %",
        "rise",
        "rollouts",
    ]
    body = [
        [
            escape(row["label"]),
            escape(row["weighting"]),
            f"{row['learning_rate']:g}",
            f"{100 * row['uniform_start']:.1f}",
            f"{100 * row['uniform']:.1f}",
            f"{100 * (row['uniform'] - row['uniform_start']):+.1f}",
            f"{row['rollouts']:,.0f}",
        ]
        for row in conditions
    ]
    return grid([escape(text) for text in head], body)
