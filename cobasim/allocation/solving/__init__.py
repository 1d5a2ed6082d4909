"""Value functions, and the budgets that maximise them."""

from cobasim.allocation.solving.relaxation import (
    HALVINGS,
    LOG_SLOPES,
    RESOLUTION,
    relaxed_budgets,
    rounded_budgets,
)
from cobasim.allocation.solving.solvers import (
    DP_CELLS,
    GOLDEN,
    SAMPLE,
    SOLVERS,
    dp,
    heap,
    solve,
    threshold,
)
from cobasim.allocation.solving.spread import (
    spread_evenly,
    spread_proportionally,
)
from cobasim.allocation.solving.values import (
    TINY,
    CobaValue,
    KnapsackValue,
    ValueFunction,
    log_beta_density,
    saturation,
)

__all__ = [
    "DP_CELLS",
    "GOLDEN",
    "HALVINGS",
    "LOG_SLOPES",
    "RESOLUTION",
    "SAMPLE",
    "SOLVERS",
    "TINY",
    "CobaValue",
    "KnapsackValue",
    "ValueFunction",
    "dp",
    "heap",
    "log_beta_density",
    "relaxed_budgets",
    "rounded_budgets",
    "saturation",
    "solve",
    "spread_evenly",
    "spread_proportionally",
    "threshold",
]
