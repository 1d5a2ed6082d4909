"""What allocation costs, measured on this machine.

In: solvers, value functions and the loop. Out: medians in milliseconds and peak memory, as plain
values that the command line prints and other experiments reuse.
"""

from cobasim.experiments.benchmark.benchmark import (
    Benchmark,
    SolverRow,
    allocate_coba,
    measure,
    median_ms,
    solver_seconds,
)

__all__ = [
    "Benchmark",
    "SolverRow",
    "allocate_coba",
    "measure",
    "median_ms",
    "solver_seconds",
]
