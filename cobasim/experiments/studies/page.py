"""The report of a study: a page, its numbers, and the same text as markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cobasim.experiments import frame
from cobasim.experiments.studies.study import Answer, Options, Study, Table
from cobasim.records import own_versions, write_atomically
from cobasim.report import drawing, escape, grid
from cobasim.runs import Sweep

NAME = "study"
REPORT, NUMBERS, TEXT_REPORT = f"{NAME}.html", f"{NAME}.json", f"{NAME}.md"


def store(
    study: Study,
    options: Options,
    out: Path,
    parts: Mapping[str, Sweep],
    answer: Answer,
    *,
    command: str,
) -> list[Path]:
    """Write the page (HTML), the numbers (JSON) and the text (markdown) below ``out``; their paths.

    Args:
        study, options, out, parts: as for, and from, ``claim``.
        answer: from ``run_study``.
        command: what was run.
    """
    facts = _facts(study, options, parts)
    numbers = {
        **facts,
        "notes": list(study.notes),
        "conclusion": answer.conclusion,
        "tables": [asdict(table) for table in answer.tables],
        "numbers": answer.numbers,
    }
    files = frame.store(out, NAME, numbers, _page(study, answer, facts), command=command)
    write_atomically(out / TEXT_REPORT, markdown(study, answer, facts, command))
    return [*files, out / TEXT_REPORT]


def _facts(study: Study, options: Options, parts: Mapping[str, Sweep]) -> dict[str, Any]:
    seeds = options.settings.get("seeds", options.size.seeds)
    world = {} if options.world is None else {"world": options.world, **options.settings}
    return {
        "study": study.name,
        "question": study.question,
        "preset": options.preset,
        "seeds": max((sweep.chosen.get("seeds", seeds) for sweep in parts.values()), default=seeds),
        "runs": frame.num_runs(parts),
        "settings": {name: sweep.settings | sweep.chosen for name, sweep in parts.items()} | world,
    }


def _page(study: Study, answer: Answer, facts: Mapping[str, Any]) -> frame.Page:
    lines = (broken(escape(line), "<br>") for line in answer.conclusion)
    conclusion = "".join(f"<li>{line}</li>" for line in lines)
    notes = "".join(f"<p><em>{escape(note)}</em></p>" for note in study.notes)
    settings = escape(json.dumps(facts["settings"], indent=1))
    text = (
        f"<p><strong>{escape(study.question)}</strong></p><ul>{conclusion}</ul>{notes}"
        f"<p>Preset {facts['preset']}, {facts['runs']} runs, {facts['seeds']} seeds. Equal "
        "rollouts in every step of every run.</p>"
        f"<details><summary>Settings</summary><pre>{settings}</pre></details>"
    )
    parts = [text, *(drawing(figure) for figure in answer.figures)]
    parts += [_html_table(table) for table in answer.tables]
    return frame.Page(f"Study: {study.name}", parts)


def _html_table(table: Table) -> str:
    heads = [escape(name) for name in table.columns]
    rows = ([_html_cell(cell) for cell in row] for row in table.rows)
    return f"<details><summary>{escape(table.title)}</summary>{grid(heads, rows)}</details>"


def _html_cell(text: str) -> str:
    """Escaped; what markdown shows bold is bold."""
    bold = text.removeprefix("**").removesuffix("**")
    return escape(text) if bold == text else f"<strong>{escape(bold)}</strong>"


def markdown(study: Study, answer: Answer, facts: Mapping[str, Any], command: str) -> str:
    """The report without its figures."""
    versions = ", ".join(f"{name} {version}" for name, version in own_versions().items())
    lines = [
        f"# Study: {study.name}", "", study.question, "",
        f"Made by `{command}` (preset {facts['preset']}, {facts['runs']} runs, "
        f"{facts['seeds']} seeds; {versions}).", "",
        *("- " + broken(line, "\n  - ") for line in answer.conclusion), "",
    ]  # fmt: skip
    if study.notes:
        lines += [*(f"> {note}" for note in study.notes), ""]
    for table in answer.tables:
        lines += [f"## {table.title}", "", "| " + " | ".join(table.columns) + " |"]
        lines += ["|" + "---|" * len(table.columns)]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
        lines += [""]
    return "\n".join(lines)


def broken(line: str, mark: str) -> str:
    """A sentence with ``mark`` before each world and weighting that it goes through."""
    return re.sub(r" \[(?=[\w-]+ world, )", f"{mark}[", line)
