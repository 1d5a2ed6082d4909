"""cobasim: study, compare and use rollout-budget allocators for RL with verifiable rewards.

``import cobasim`` is light: numpy and the allocator module. The Gymnasium environment
``cobasim/RolloutBudget-v0`` is registered by ``import cobasim.gym``.
"""

from cobasim.allocation import ALLOCATORS, Limits, Observation, allocate, make_allocator
from cobasim.errors import InputError
from cobasim.version import VERSION

__version__ = VERSION

__all__ = [
    "ALLOCATORS",
    "InputError",
    "Limits",
    "Observation",
    "__version__",
    "allocate",
    "make_allocator",
]
