"""What is believed: pass rates and response lengths of prompts, and the capability of the policy.

In: budgets, passes and tokens of past steps. Out: estimates with their evidence, mean lengths, the
smoothed failure rate.
"""

from cobasim.allocation.beliefs.capability import (
    CapabilityWindow,
    beta_shape,
    measured_failure_rate,
    transformed_failure_rate,
)
from cobasim.allocation.beliefs.evidence import Evidence
from cobasim.allocation.beliefs.lengths import ResponseLengths
from cobasim.allocation.beliefs.pass_rates import (
    ESTIMATORS,
    UNSEEN,
    Estimate,
    PassRateEstimator,
    make_estimator,
)

__all__ = [
    "ESTIMATORS",
    "UNSEEN",
    "CapabilityWindow",
    "Estimate",
    "Evidence",
    "PassRateEstimator",
    "ResponseLengths",
    "beta_shape",
    "make_estimator",
    "measured_failure_rate",
    "transformed_failure_rate",
]
