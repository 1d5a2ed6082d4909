"""Many runs: executed, compared, swept over settings; stored in folders that can be resumed.

In: configs and plans. Out: runs and rows in folders, read back, and the comparison made of them.
"""

from cobasim.runs.compare_config import (
    BASELINE,
    PRESETS,
    CompareConfig,
    plan,
    settle,
    with_pool,
)
from cobasim.runs.comparison import (
    NUMBERS,
    REPORT,
    Comparison,
    claim_comparison,
    run_all,
    score,
    store_comparison,
)
from cobasim.runs.config import ORACLE, RunConfig
from cobasim.runs.execution import (
    build_loop,
    execute,
    known_attempts,
    measured_pool,
    one_thread,
    run_directory,
    run_header,
    simulate,
)
from cobasim.runs.folder import PLAN, claim_folder, write_numbers
from cobasim.runs.parallel import RayCluster, in_parallel
from cobasim.runs.parameters import METHODS, Parameter, Point, point_at, points, read_plan
from cobasim.runs.rows import ROWS, Measure, execute_row, finished
from cobasim.runs.sweep import MOST_RUNS, Sweep
from cobasim.runs.sweeping import claim, run_sweep, seconds_per_run
from cobasim.runs.table import SUMMARY, TABLE, read_table, summary

__all__ = [
    "BASELINE",
    "METHODS",
    "MOST_RUNS",
    "NUMBERS",
    "ORACLE",
    "PLAN",
    "PRESETS",
    "REPORT",
    "ROWS",
    "SUMMARY",
    "TABLE",
    "CompareConfig",
    "Comparison",
    "Measure",
    "Parameter",
    "Point",
    "RayCluster",
    "RunConfig",
    "Sweep",
    "build_loop",
    "claim",
    "claim_comparison",
    "claim_folder",
    "execute",
    "execute_row",
    "finished",
    "in_parallel",
    "known_attempts",
    "measured_pool",
    "one_thread",
    "plan",
    "point_at",
    "points",
    "read_plan",
    "read_table",
    "run_all",
    "run_directory",
    "run_header",
    "run_sweep",
    "score",
    "seconds_per_run",
    "settle",
    "simulate",
    "store_comparison",
    "summary",
    "with_pool",
    "write_numbers",
]
