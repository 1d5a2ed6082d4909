"""The step that simulation and training share: learner protocols, order of prompts, one loop."""

from cobasim.loop.config import LoopConfig, MixStep
from cobasim.loop.loop import (
    TRUTH_ATTEMPTS,
    KnowsFeatures,
    KnowsGradients,
    KnowsLengths,
    KnowsTruth,
    Learner,
    Loop,
    SamplesInRounds,
    Spent,
    TrainsOnPart,
    check_learner,
    run,
)
from cobasim.loop.order import (
    BatchOrder,
)

__all__ = [
    "TRUTH_ATTEMPTS",
    "BatchOrder",
    "KnowsFeatures",
    "KnowsGradients",
    "KnowsLengths",
    "KnowsTruth",
    "Learner",
    "Loop",
    "LoopConfig",
    "MixStep",
    "SamplesInRounds",
    "Spent",
    "TrainsOnPart",
    "check_learner",
    "run",
]
