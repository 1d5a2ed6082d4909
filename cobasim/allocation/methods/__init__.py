"""Allocators of the CoBA-RL and Knapsack-RL papers, and this project's own.

In: an observation of a batch and limits. Out: budgets. Other papers' allocators are in ``peers``.
"""

from cobasim.allocation.base import Allocator
from cobasim.allocation.methods.coba import Coba, CobaExploreFirst
from cobasim.allocation.methods.coba_released import CobaReleased
from cobasim.allocation.methods.coba_signals import (
    CobaMixed,
    CobaSignal,
    CobaUpdate,
    CobaVariance,
)
from cobasim.allocation.methods.knapsack import Knapsack
from cobasim.allocation.methods.shapes import (
    Fixed,
    FixedExploit,
    FixedExplore,
    LinearDecay,
    ShapeAllocator,
)
from cobasim.allocation.methods.signal import Signal
from cobasim.allocation.methods.signal_parts import SignalParts
from cobasim.allocation.methods.signal_skip import SignalSkip
from cobasim.allocation.methods.uniform import Uniform

METHODS: dict[str, type[Allocator]] = {
    "uniform": Uniform,
    "knapsack": Knapsack,
    "fixed-exploit": FixedExploit,
    "fixed-explore": FixedExplore,
    "fixed": Fixed,
    "linear-decay": LinearDecay,
    "coba": Coba,
    "coba-explore-first": CobaExploreFirst,
    "coba-released": CobaReleased,
    "coba-variance": CobaVariance,
    "coba-mixed": CobaMixed,
    "coba-update": CobaUpdate,
    "signal": Signal,
    "signal-skip": SignalSkip,
    "signal-parts": SignalParts,
}

__all__ = [
    "METHODS",
    "Coba",
    "CobaExploreFirst",
    "CobaMixed",
    "CobaReleased",
    "CobaSignal",
    "CobaUpdate",
    "CobaVariance",
    "Fixed",
    "FixedExploit",
    "FixedExplore",
    "Knapsack",
    "LinearDecay",
    "ShapeAllocator",
    "Signal",
    "SignalParts",
    "SignalSkip",
    "Uniform",
]
