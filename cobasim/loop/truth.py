"""The truth in place of beliefs: what an oracle is told."""

from __future__ import annotations

import numpy as np

from cobasim.allocation import Estimate, PassRateEstimator, ResponseLengths, make_estimator
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.loop.config import LoopConfig
from cobasim.loop.learner import CountsTokens, KnowsLengths, KnowsTruth, Learner

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


class TrueLengths(ResponseLengths):
    """The learner's true mean response lengths, whatever was counted."""

    def __init__(self, learner: KnowsLengths) -> None:
        super().__init__(0)
        self.learner = learner

    def estimate(self, prompts: IntArray) -> FloatArray:
        """True mean lengths (m,)."""
        return self.learner.prompt_lengths(prompts)

    def update(self, prompts: IntArray, budgets: IntArray, tokens: FloatArray) -> None:
        """Nothing: the truth needs no evidence."""


def build_lengths(estimator: str, learner: Learner) -> ResponseLengths | None:
    """Beliefs of response lengths; None where the learner does not count tokens.

    With the estimator "truth" they are the true ones.
    """
    if not isinstance(learner, CountsTokens) or not learner.counts_tokens:
        return None
    if estimator == TRUTH and isinstance(learner, KnowsLengths):
        return TrueLengths(learner)
    return ResponseLengths(learner.num_prompts)


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
