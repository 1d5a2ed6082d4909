"""A comparison of runs that somebody opened, as the one-file report."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from cobasim.records import Run
from cobasim.report import write_report
from cobasim.runs import BASELINE
from cobasim.scores import comparison_table, verdict
from cobasim.updates import WEIGHTINGS


def report_of(runs: Sequence[Run], shown: str) -> bytes:
    """The report (HTML) of some runs, of any source, compared at their last evaluations.

    shown: the folder of runs, as it was given. Differences are to ``uniform`` where it is among
    them. Raises InputError where no run has a held-out accuracy.
    """
    runs = sorted(runs, key=_weighting)
    rows = comparison_table(runs, BASELINE)
    settings = {"folder": shown, "runs": [str(run.path.name) for run in runs]}
    with tempfile.TemporaryDirectory() as folder:
        path = write_report(
            Path(folder) / "report.html",
            runs,
            rows,
            title=f"Comparison of {len(runs)} runs",
            settings=settings,
            verdicts=verdict(rows),
            command=f"cobasim explore --runs {shown}",
        )
        return path.read_bytes()


def _weighting(run: Run) -> int:
    """The place of a run's weighting: known ones first, in their order."""
    name = run.header.weighting
    return WEIGHTINGS.index(name) if name in WEIGHTINGS else len(WEIGHTINGS)
