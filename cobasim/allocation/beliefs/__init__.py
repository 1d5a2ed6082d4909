"""Pass rates per prompt, and the capability of the policy."""

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
    LastVisit,
    PassRateEstimator,
    Posterior,
    Robust,
    Window,
    make_estimator,
)

__all__ = [
    "ESTIMATORS",
    "UNSEEN",
    "CapabilityWindow",
    "Estimate",
    "LastVisit",
    "PassRateEstimator",
    "Posterior",
    "Robust",
    "Window",
    "beta_shape",
    "make_estimator",
    "measured_failure_rate",
    "transformed_failure_rate",
]
