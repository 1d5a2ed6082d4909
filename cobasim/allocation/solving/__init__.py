"""Value functions, and the budgets that maximise their sum.

In: pass rates and limits. Out: budgets, whole or (``relaxed_budgets``) real. No observations here.
"""

from cobasim.allocation.solving.relaxation import relaxed_budgets, rounded_budgets
from cobasim.allocation.solving.selection import nth_largest
from cobasim.allocation.solving.solvers import SOLVERS, solve
from cobasim.allocation.solving.spread import (
    spread_evenly,
    spread_proportionally,
    uniform_budgets,
)
from cobasim.allocation.solving.values import (
    CobaValue,
    KnapsackValue,
    ValueFunction,
    log_beta_density,
    saturation,
)

__all__ = [
    "SOLVERS",
    "CobaValue",
    "KnapsackValue",
    "ValueFunction",
    "log_beta_density",
    "nth_largest",
    "relaxed_budgets",
    "rounded_budgets",
    "saturation",
    "solve",
    "spread_evenly",
    "spread_proportionally",
    "uniform_budgets",
]
