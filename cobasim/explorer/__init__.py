"""What the app does besides drawing: batches, commands and their processes, folders of runs.

In: plain values from widgets, and folders. Out: observations, command lines, rows of tables, jobs.
Knows nothing of Streamlit; the pages in ``apps`` are its only users.
"""

from cobasim.explorer.batches import (
    budgets_csv,
    estimated,
    mark_unseen,
    nearest_step,
    read_upload,
)
from cobasim.explorer.commands import SimulationChoice, SweepChoice
from cobasim.explorer.jobs import Job, Jobs, save
from cobasim.explorer.measured import describe_measured, keep_measured, measured_worlds, world_of
from cobasim.explorer.run_folders import (
    describe_run,
    has_column,
    last_samples,
    run_folders,
    shortened,
    state,
    written,
)
from cobasim.explorer.tables import comparison_csv, comparison_rows, finished_runs, rounded

__all__ = [
    "Job",
    "Jobs",
    "SimulationChoice",
    "SweepChoice",
    "budgets_csv",
    "comparison_csv",
    "comparison_rows",
    "describe_measured",
    "describe_run",
    "estimated",
    "finished_runs",
    "has_column",
    "keep_measured",
    "last_samples",
    "mark_unseen",
    "measured_worlds",
    "nearest_step",
    "read_upload",
    "rounded",
    "run_folders",
    "save",
    "shortened",
    "state",
    "world_of",
    "written",
]
