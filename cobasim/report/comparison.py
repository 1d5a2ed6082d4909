"""The page of a comparison: verdicts, tables, figures, settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cobasim.errors import InputError
from cobasim.files import write_atomically
from cobasim.records import Run
from cobasim.report.page import render
from cobasim.report.panels import comparison_panels
from cobasim.report.score_table import FURTHER, HEADLINE, score_table
from cobasim.scores import Row

WEIGHTINGS: Final[dict[str, str]] = {
    "rollout": (
        "every rollout counts the same, so a prompt counts in proportion to its budget "
        "(w_i = B_i / sum B): an allocator that moves rollouts also moves the loss towards the "
        "prompts that get them."
    ),
    "prompt": (
        "every prompt counts the same (w_i = 1 / M) whatever its budget: more rollouts make its "
        "gradient less noisy and more often non-zero, but not larger."
    ),
    "token": (
        "every generated token counts the same, so a prompt counts in proportion to the tokens "
        "of its rollouts: budget and response length both shift the loss."
    ),
}
"""How prompts are weighted in the loss, in words."""


def write_report(
    path: str | os.PathLike[str],
    runs: Sequence[Run],
    rows: Sequence[Row],
    *,
    title: str,
    settings: Mapping[str, Any],
    verdicts: Mapping[str, str],
    command: str,
) -> Path:
    """Write a comparison as one HTML file, atomically; returns its path.

    rows and verdicts: from ``scores.comparison_table`` and ``scores.verdict`` over ``runs``.
    settings: names and values to show; command: what was run.  Raises InputError for no runs or
    rows, OSError (with the path) if the file cannot be written.
    """
    if not runs or not rows:
        raise InputError("there is nothing to report; give at least one run and its rows")
    weightings = list(dict.fromkeys(row.weighting for row in rows))
    page = render(
        "comparison.html",
        title=title,
        size=_size(runs, rows),
        created=max(run.header.created for run in runs),
        verdicts=verdicts,
        baseline=next((row.allocator for row in rows if row.baseline), "the baseline"),
        headline=score_table(rows, HEADLINE, weightings),
        meanings={name: _meaning(name) for name in weightings},
        oracles=any(row.oracle for row in rows),
        further=[score_table(rows, FURTHER, [name]) for name in weightings],
        panels=comparison_panels(runs, rows, weightings),
        command=command,
        settings=settings,
        versions=_versions(runs),
    )
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, page)
    return file


def _meaning(weighting: str) -> str:
    return WEIGHTINGS.get(weighting, "as the learner that wrote the runs defines it.")


def _size(runs: Sequence[Run], rows: Sequence[Row]) -> str:
    """How much was compared, such as "3 allocators, 2 seeds each, 6 runs"."""
    counts = [len(row.seeds) for row in rows]
    seeds = _count(max(counts), "seed")
    if min(counts) != max(counts):
        seeds = f"{min(counts)} to {seeds}"
    allocators = len({row.allocator for row in rows})
    return f"{_count(allocators, 'allocator')}, {seeds} each, {_count(len(runs), 'run')}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _versions(runs: Sequence[Run]) -> dict[str, str]:
    """Collect the versions that wrote the runs; several are listed."""
    versions: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, version in run.header.versions.items():
            versions.setdefault(name, {})[str(version)] = None
    return {name: ", ".join(several) for name, several in versions.items()}
