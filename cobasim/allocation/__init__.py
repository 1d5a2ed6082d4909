"""The shared allocator module: who gets how many rollouts. Knows nothing of learners.

Needs numpy and scipy only, so any trainer can use it alone::

    from cobasim.allocation import ALLOCATORS, Limits, Observation, allocate
"""

from cobasim.allocation.allocators import (
    ALLOCATORS,
    Allocator,
    RoundsAllocator,
    ValueAllocator,
    allocate,
    describe_allocators,
    find_allocator,
    make_allocator,
    one_shot,
    own_parameters,
)
from cobasim.allocation.beliefs.capability import (
    CapabilityWindow,
    beta_shape,
    measured_failure_rate,
    transformed_failure_rate,
)
from cobasim.allocation.beliefs.pass_rates import ESTIMATORS, PassRateEstimator, make_estimator
from cobasim.allocation.limits import Limits
from cobasim.allocation.methods.signal import Signal
from cobasim.allocation.methods.signal_skip import SignalSkip
from cobasim.allocation.observation import Kept, Observation
from cobasim.allocation.peers import PEERS
from cobasim.allocation.solving.solvers import SOLVERS, solve
from cobasim.allocation.solving.values import CobaValue, KnapsackValue, ValueFunction

# here, since these are built on the module that holds the registry
ALLOCATORS.update({"signal": Signal, "signal-skip": SignalSkip}, **PEERS)

__all__ = [
    "ALLOCATORS",
    "ESTIMATORS",
    "PEERS",
    "SOLVERS",
    "Allocator",
    "CapabilityWindow",
    "CobaValue",
    "Kept",
    "KnapsackValue",
    "Limits",
    "Observation",
    "PassRateEstimator",
    "RoundsAllocator",
    "Signal",
    "SignalSkip",
    "ValueAllocator",
    "ValueFunction",
    "allocate",
    "beta_shape",
    "describe_allocators",
    "find_allocator",
    "make_allocator",
    "make_estimator",
    "measured_failure_rate",
    "one_shot",
    "own_parameters",
    "solve",
    "transformed_failure_rate",
]
