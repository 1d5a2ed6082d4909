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
from cobasim.explorer.known_comparison import known_comparison
from cobasim.explorer.measured import (
    describe_measured,
    keep_measured,
    measured_worlds,
    parts_of,
    world_of,
)
from cobasim.explorer.rates import keep_rates, rate_files, read_rates
from cobasim.explorer.run_folders import (
    HIDDEN,
    describe_run,
    grouped,
    has_column,
    last_samples,
    matching,
    reports_of,
    run_folders,
    run_time_left,
    shortened,
    state,
    time_left,
    written,
)
from cobasim.explorer.run_report import report_of
from cobasim.explorer.tables import comparison_csv, comparison_rows, finished_runs, rounded
from cobasim.explorer.uniform_runs import keep_log, uniform_runs

__all__ = [
    "HIDDEN",
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
    "grouped",
    "has_column",
    "keep_log",
    "keep_measured",
    "keep_rates",
    "known_comparison",
    "last_samples",
    "mark_unseen",
    "matching",
    "measured_worlds",
    "nearest_step",
    "parts_of",
    "rate_files",
    "read_rates",
    "report_of",
    "reports_of",
    "rounded",
    "run_folders",
    "run_time_left",
    "save",
    "shortened",
    "state",
    "time_left",
    "uniform_runs",
    "world_of",
    "written",
]
