"""Who gets how many rollouts: beliefs about a batch and limits in, budgets out.

Knows nothing of learners and needs numpy only (some allocators: scipy, once they are called), so
that any trainer can use it::

    from cobasim.allocation import ALLOCATORS, Limits, Observation, allocate
"""

from cobasim.allocation.base import Allocator, RoundsAllocator, ValueAllocator
from cobasim.allocation.beliefs import (
    ESTIMATORS,
    CapabilityWindow,
    Estimate,
    Evidence,
    PassRateEstimator,
    ResponseLengths,
    beta_shape,
    make_estimator,
    measured_failure_rate,
    transformed_failure_rate,
)
from cobasim.allocation.limits import Limits, check_spent, check_whole
from cobasim.allocation.methods import METHODS, Signal, SignalParts, SignalSkip
from cobasim.allocation.needs import NEEDS, Need, check_evidence, check_needs, served_by
from cobasim.allocation.observation import Kept, Observation
from cobasim.allocation.one_batch import allocate, prepare
from cobasim.allocation.parameters import parameter
from cobasim.allocation.peers import PEERS
from cobasim.allocation.registry import (
    ALLOCATORS,
    describe_allocators,
    find_allocator,
    make_allocator,
    one_shot,
    own_parameters,
)
from cobasim.allocation.solving import (
    SOLVERS,
    CobaValue,
    KnapsackValue,
    ValueFunction,
    solve,
    spread_evenly,
    spread_proportionally,
    uniform_budgets,
)

__all__ = [
    "ALLOCATORS",
    "ESTIMATORS",
    "METHODS",
    "NEEDS",
    "PEERS",
    "SOLVERS",
    "Allocator",
    "CapabilityWindow",
    "CobaValue",
    "Estimate",
    "Evidence",
    "Kept",
    "KnapsackValue",
    "Limits",
    "Need",
    "Observation",
    "PassRateEstimator",
    "ResponseLengths",
    "RoundsAllocator",
    "Signal",
    "SignalParts",
    "SignalSkip",
    "ValueAllocator",
    "ValueFunction",
    "allocate",
    "beta_shape",
    "check_evidence",
    "check_needs",
    "check_spent",
    "check_whole",
    "describe_allocators",
    "find_allocator",
    "make_allocator",
    "make_estimator",
    "measured_failure_rate",
    "one_shot",
    "own_parameters",
    "parameter",
    "prepare",
    "served_by",
    "solve",
    "spread_evenly",
    "spread_proportionally",
    "transformed_failure_rate",
    "uniform_budgets",
]
