"""What the app does besides drawing: batches, commands and their processes, folders of runs.

In: plain values from widgets, and folders. Out: observations, command lines, rows of tables, jobs.
Knows nothing of Streamlit; the pages in ``apps`` are its only users.
"""

from cobasim.explorer.batches import (
    budgets_csv,
    estimated,
    mark_unseen,
    nearest_step,
)
from cobasim.explorer.commands import SHOWN, SimulationChoice, SweepChoice, differences
from cobasim.explorer.jobs import Job, Jobs, save
from cobasim.explorer.measured import describe_measured, keep_measured, measured_worlds, world_of
from cobasim.explorer.rates import keep_rates, rate_files, read_rates
from cobasim.explorer.run_folders import (
    describe_run,
    has_column,
    last_samples,
    run_folders,
    shortened,
    state,
    time_left,
    written,
)
from cobasim.explorer.tables import comparison_csv, comparison_rows, finished_runs, rounded

__all__ = [
    "SHOWN",
    "Job",
    "Jobs",
    "SimulationChoice",
    "SweepChoice",
    "budgets_csv",
    "comparison_csv",
    "comparison_rows",
    "describe_measured",
    "describe_run",
    "differences",
    "estimated",
    "finished_runs",
    "has_column",
    "keep_measured",
    "keep_rates",
    "last_samples",
    "mark_unseen",
    "measured_worlds",
    "nearest_step",
    "rate_files",
    "read_rates",
    "rounded",
    "run_folders",
    "save",
    "shortened",
    "state",
    "time_left",
    "world_of",
    "written",
]
