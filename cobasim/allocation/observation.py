"""What an allocator may know of a batch; never the truth (but for an oracle)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from cobasim.allocation.arrays import BoolArray, FloatArray


@dataclass(frozen=True)
class Observation:
    """What is believed of the m prompts of a batch, before any rollout of this step.

    Attributes:
        pass_rate: (m,) estimates in [0, 1].
        attempts: (m,) rollouts behind each estimate, possibly discounted; 0 = unseen, or too
            few to act on.
        failure_rate: the policy's global failure rate, smoothed over the past k steps (Eq. 4 of
            arXiv 2602.03048); None before the first measurement.
        progress: share of the run that is done, 0 .. 1.
        posterior: the evidence itself, as the parameters (a, b), each (m,), of a Beta
            distribution over the pass rate; None where the estimator keeps no posterior.
        weighting: how the learner's loss weights prompts ("rollout", "token", "prompt"); None
            where it does not say.
    """

    pass_rate: FloatArray
    attempts: FloatArray
    failure_rate: float | None = None
    progress: float = 0.0
    posterior: tuple[FloatArray, FloatArray] | None = None
    weighting: str | None = None

    @cached_property
    def seen(self) -> BoolArray:
        """(m,) whether the estimate rests on rollouts that may be acted on."""
        return self.attempts > 0

    def beta(self) -> tuple[FloatArray, FloatArray]:
        """Beta parameters (a, b), each (m,): the posterior, or counts on a uniform prior."""
        if self.posterior is not None:
            return self.posterior
        passes = self.pass_rate * self.attempts
        return passes + 1.0, self.attempts - passes + 1.0

    def take(self, index: BoolArray) -> Observation:
        """The same observation of a part of the batch (``index``: boolean mask, (m,))."""
        posterior = self.posterior
        if posterior is not None:
            posterior = (posterior[0][index], posterior[1][index])
        return Observation(
            pass_rate=self.pass_rate[index],
            attempts=self.attempts[index],
            failure_rate=self.failure_rate,
            progress=self.progress,
            posterior=posterior,
            weighting=self.weighting,
        )
