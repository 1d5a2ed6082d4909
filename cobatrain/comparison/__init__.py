"""The real comparison: allocators x weightings x seeds on one task, resumable, scored as cobasim's.

In: a plan and a folder. Out: a run folder for each run, the table, verdicts and the report.
Every run is a separate process (``cobatrain train``), so nothing leaks from one to the next.
"""

from cobasim.runs import BASELINE, NUMBERS, PLAN, REPORT
from cobatrain.comparison.outcome import read_runs, score
from cobatrain.comparison.plan import (
    ALIKE,
    CONFIG,
    Plan,
    PlannedRun,
    claim,
    run_directory,
)
from cobatrain.comparison.predicted import norm_of_second_half, predicted, remarks
from cobatrain.comparison.processes import RunFailed, run_all

__all__ = [
    "ALIKE",
    "BASELINE",
    "CONFIG",
    "NUMBERS",
    "PLAN",
    "REPORT",
    "Plan",
    "PlannedRun",
    "RunFailed",
    "claim",
    "norm_of_second_half",
    "predicted",
    "read_runs",
    "remarks",
    "run_all",
    "run_directory",
    "score",
]
