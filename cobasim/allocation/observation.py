"""What an allocator may know of a batch; never the truth (but for an oracle)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.gradients import GradientParts


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
        prompts: (m,) indices into the pool, by which memory is kept; None outside a loop.
        features: (m, d) what the learner knows of the prompts (an embedding), where it does.
        lengths: (m,) believed mean response lengths, where the learner counts tokens and the
            allocator reads them, in any one unit; None before the first response.
        gradient_norms: (m,) norms of the gradients of prompts' logits, likewise.
        parts: what the policy's gradients are made of, likewise; None until it is measured.
        batch: (m,) which of the batches drawn for the step each prompt is from; None: all of one.
        memory: the allocator's own arrays over the pool (``Allocator.memory``).
        rng: the allocator's randomness in this step, if it reads it; None outside a loop.
    """

    pass_rate: FloatArray
    attempts: FloatArray
    failure_rate: float | None = None
    progress: float = 0.0
    posterior: tuple[FloatArray, FloatArray] | None = None
    weighting: str | None = None
    prompts: IntArray | None = None
    features: FloatArray | None = None
    lengths: FloatArray | None = None
    gradient_norms: FloatArray | None = None
    parts: GradientParts | None = None
    batch: IntArray | None = None
    memory: Mapping[str, NDArray[Any]] | None = None
    rng: np.random.Generator | None = None

    @cached_property
    def seen(self) -> BoolArray:
        """(m,) whether the estimate rests on rollouts that may be acted on."""
        return self.attempts > 0

    @property
    def batches(self) -> IntArray:
        """(m,) ``batch``, with 0 where it was not given."""
        return np.zeros(self.pass_rate.size, np.int64) if self.batch is None else self.batch

    def beta(self) -> tuple[FloatArray, FloatArray]:
        """Beta parameters (a, b), each (m,): the posterior, or counts on a uniform prior."""
        if self.posterior is not None:
            return self.posterior
        passes = self.pass_rate * self.attempts
        return passes + 1.0, self.attempts - passes + 1.0

    def take(self, index: BoolArray) -> Observation:
        """The same observation of a part of the batch (``index``: boolean mask, (m,))."""

        def part(array: Any) -> Any:
            return None if array is None else array[index]

        posterior = self.posterior
        return replace(
            self,
            pass_rate=self.pass_rate[index],
            attempts=self.attempts[index],
            posterior=None if posterior is None else (posterior[0][index], posterior[1][index]),
            prompts=part(self.prompts),
            features=part(self.features),
            lengths=part(self.lengths),
            gradient_norms=part(self.gradient_norms),
            batch=part(self.batch),
        )


@dataclass(frozen=True)
class Kept:
    """The part of a step's rollouts that the update gets; the others were generated for nothing.

    Attributes:
        budgets: (m,) rollouts kept of each prompt; 0: the group is dropped.
        passes: (m,) how many of them passed.
        baseline: (m,) advantages are reward minus this, without division by a deviation; None:
            as the learner makes them, from the kept group.
    """

    budgets: IntArray
    passes: IntArray
    baseline: FloatArray | None = None
