"""What is believed: pass rates of prompts, and the capability of the policy.

In: budgets and passes of past steps. Out: estimates with their evidence, the smoothed failure rate.
"""

from cobasim.allocation.beliefs.capability import (
    CapabilityWindow,
    beta_shape,
    measured_failure_rate,
    transformed_failure_rate,
)
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
    "PassRateEstimator",
    "beta_shape",
    "make_estimator",
    "measured_failure_rate",
    "transformed_failure_rate",
]
