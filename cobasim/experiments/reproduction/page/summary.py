"""The first section: how far each table and figure agrees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cobasim.experiments.reproduction.page import cells
from cobasim.report import ABSENT, escape, grid


def summary_section(content: Mapping[str, Any]) -> str:
    """Claims that agree by table or figure, world and weighting, and the headlines."""
    combinations = cells.combinations(content)
    words = {(r["result"], r["world"], r["weighting"]): r["words"] for r in content["summary"]}
    rows = [
        [
            _link(key, result["title"]),
            *(_lines(words[key, world, weighting]) for world, weighting in combinations),
        ]
        for key, result in content["results"].items()
    ]
    times = content["table-4"]
    ratio = times["dp over heap"]
    rows.append(
        [
            _link("table-4", times["title"]),
            f"dp / heap: {ratio['here']:.0f}<br>paper: {ratio['paper']:.0f}"
            + cells.status(times["status"]),
            *(ABSENT for _ in combinations[1:]),
        ]
    )
    lines = "".join(f"<li>{escape(text)}</li>" for text in content["headline"])
    return (
        f"<h2>Summary</h2><ul>{lines}</ul>"
        + grid(["table or figure", *map(cells.head, combinations)], rows)
        + '<p class="note">A claim is a pair (“coba above uniform”), tested by a paired t-test '
        "over seeds at 5 %, Holm-corrected over the claims of one table in one world under one "
        "weighting. tau: Kendall’s tau between the paper’s order and the simulation’s (1: the "
        "same, −1: reversed) within each model, budget or class, averaged. The paper reports one "
        "training run per number, without intervals: its own small differences may be noise.</p>"
    )


def _link(key: str, title: str) -> str:
    name, _, what = title.partition(": ")
    return f'<a href="#{escape(key)}">{escape(name)}</a><span class="unit">{escape(what)}</span>'


def _lines(words: str) -> str:
    return "<br>".join(escape(part) for part in words.replace("; ", ", ").split(", "))
