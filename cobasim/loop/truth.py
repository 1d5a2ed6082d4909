"""The true pass rates as an estimator: what an oracle is told."""

from __future__ import annotations

import numpy as np

from cobasim.allocation import Estimate, PassRateEstimator, make_estimator
from cobasim.arrays import IntArray
from cobasim.errors import InputError
from cobasim.loop.config import LoopConfig
from cobasim.loop.learner import KnowsTruth, Learner

TRUTH = "truth"
ATTEMPTS = 1e6  # the evidence that a true rate is presented with


class TrueRates(PassRateEstimator):
    """The learner's true pass rates, whatever was counted."""

    def __init__(self, learner: KnowsTruth) -> None:
        self.learner = learner

    def estimate(self, prompts: IntArray) -> Estimate:
        """True rates (m,), each with the evidence ATTEMPTS."""
        rate = self.learner.pass_rates(prompts)
        return Estimate(rate, np.full(rate.shape, ATTEMPTS))

    def update(self, prompts: IntArray, budgets: IntArray, passes: IntArray) -> None:
        """Nothing: the truth needs no evidence."""


def build_estimator(name: str, learner: Learner, config: LoopConfig) -> PassRateEstimator:
    """The estimator of a run: a name in ESTIMATORS, or "truth".

    Raises InputError for an unknown name, or for "truth" if the learner does not know it.
    """
    if name != TRUTH:
        return make_estimator(name, learner.num_prompts, **config.estimator_parameters)
    if not isinstance(learner, KnowsTruth):
        raise InputError(
            "an oracle needs a learner whose true pass rates are known (a simulation): choose "
            "an estimator, or the allocator without oracle-"
        )
    return TrueRates(learner)
