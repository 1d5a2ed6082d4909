"""What all experiments share: a folder that is claimed and resumed, numbers, and a page.

A plan is one sweep or several, each in a folder of its own below the experiment's. The analysis is
a function of their rows. Its numbers and its page are written here.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cobasim.files import writing
from cobasim.records import own_versions, write_atomically
from cobasim.runs import Measure, Sweep, claim, run_sweep, write_numbers


def num_runs(parts: Mapping[str, Sweep]) -> int:
    """Runs of all sweeps together. Every point is checked: raises InputError for bad settings."""
    return sum(sweep.num_runs for sweep in parts.values())


def claim_parts(parts: Mapping[str, Sweep], out: Path) -> None:
    """Make the folder of an experiment, or check that it belongs to this one, to resume there.

    Args:
        parts: the sweeps by the name of their folder below ``out``; "" is ``out`` itself.
        out: the folder.

    Raises InputError if a folder holds another plan or anything else.
    """
    for name, sweep in parts.items():
        claim(sweep, out / name)


def run_parts(
    parts: Mapping[str, Sweep],
    out: Path,
    *,
    jobs: int | None = None,
    on_finished: Callable[[int], None] = lambda _: None,
    measure: Measure | None = None,
) -> list[dict[str, Any]]:
    """Run what is missing of claimed sweeps; returns all rows, with the name as column ``part``.

    Args:
        parts, out: as for ``claim_parts``.
        jobs: processes at a time; the rows do not depend on it.
        on_finished: gets the number of runs just stored, those of an earlier start included.
        measure: adds columns to each row; the same one whenever the experiment is resumed.

    Raises InputError if another process is writing to one of the folders.
    """
    rows: list[dict[str, Any]] = []
    for name, sweep in parts.items():
        table = run_sweep(
            sweep, out / name, jobs=jobs, on_finished=on_finished, measure=measure
        ).to_pylist()
        rows += [{**row, "part": name} for row in table] if name else table
    return rows


@dataclass(frozen=True)
class Page:
    """One self-contained page, without the command and the versions.

    Attributes:
        title: plain text.
        parts: HTML, in order.
        settings: names and values, shown at the end.
    """

    title: str
    parts: Sequence[str]
    settings: Mapping[str, Any] = field(default_factory=dict)


def store(
    out: Path, name: str, numbers: Mapping[str, Any], page: Page, *, command: str
) -> list[Path]:
    """Write the page (``NAME.html``) and the numbers (``NAME.json``); returns their paths.

    Args:
        out: the folder; made if it does not exist.
        name: of the files.
        numbers: plain values; the command and the versions are added.
        page: what the page shows.
        command: what was run.

    Raises InputError if another process is writing to the folder.
    """
    from cobasim.report import document, provenance

    title = html.escape(page.title)
    body = f"<h1>{title}</h1>{''.join(page.parts)}"
    body += provenance(command, page.settings, own_versions())
    report, plain = out / f"{name}.html", out / f"{name}.json"
    out.mkdir(parents=True, exist_ok=True)
    with writing(out):
        write_numbers(plain, numbers, command=command)
        write_atomically(report, document(page.title, body))
    return [report, plain]


def paragraphs(lines: Iterable[str]) -> str:
    """Plain sentences as HTML, a paragraph each."""
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)
