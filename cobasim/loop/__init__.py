"""The step that simulation and training share: one loop, and what it asks of a learner.

In: a learner, an allocator, sizes and bounds. Out: one record a step. What is known between steps
is a ``cobasim.account``, which does not depend on the learner.
"""

from cobasim.loop.config import LONGEST, LoopConfig, MixStep
from cobasim.loop.learner import (
    CountsTokens,
    EvaluatesPool,
    KnowsFeatures,
    KnowsGradients,
    KnowsLengths,
    KnowsParts,
    KnowsTruth,
    Learner,
    SamplesInRounds,
    TrainsOnPart,
    WeighsAsTold,
)
from cobasim.loop.loop import Loop, run
from cobasim.loop.order import BatchOrder
from cobasim.loop.token_budget import TokenBudget
from cobasim.loop.truth import TRUTH, TrueRates, build_estimator

__all__ = [
    "LONGEST",
    "TRUTH",
    "BatchOrder",
    "CountsTokens",
    "EvaluatesPool",
    "KnowsFeatures",
    "KnowsGradients",
    "KnowsLengths",
    "KnowsParts",
    "KnowsTruth",
    "Learner",
    "Loop",
    "LoopConfig",
    "MixStep",
    "SamplesInRounds",
    "TokenBudget",
    "TrainsOnPart",
    "TrueRates",
    "WeighsAsTold",
    "build_estimator",
    "run",
]
