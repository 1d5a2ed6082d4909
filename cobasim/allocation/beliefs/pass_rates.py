"""Pass-rate estimates per prompt, made only from the prompt's own rollouts.

An estimator keeps counts for a pool of prompts, is updated after every step, and says for a
batch what is believed of each prompt and how much evidence is behind it. Prompts are pool
indices; within one batch they are distinct.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cobasim.allocation.beliefs.evidence import Evidence
from cobasim.arrays import FloatArray, IntArray, resized, wide_enough
from cobasim.errors import InputError, unknown_name

UNSEEN = 0.5  # the point estimate of a prompt without rollouts; its attempts are 0


@dataclass(frozen=True)
class Estimate:
    """What is believed of m prompts; fields as in ``Observation``."""

    pass_rate: FloatArray
    attempts: FloatArray
    posterior: tuple[FloatArray, FloatArray] | None = None


class PassRateEstimator(Evidence, ABC):
    """Counts for a pool of prompts, and the estimate that is made of them.

    Counts are arrays with a row for each prompt, 0 for a prompt that was never tried.
    """

    @abstractmethod
    def estimate(self, prompts: IntArray) -> Estimate:
        """The estimate for a batch of prompts (m,)."""

    @abstractmethod
    def update(self, prompts: IntArray, budgets: IntArray, passes: IntArray) -> None:
        """Count one visit: ``passes`` of ``budgets`` rollouts, each (m,), in place.

        A prompt that got no rollout keeps its counts.
        """

    def start(self, attempts: IntArray, passes: IntArray) -> None:
        """Take counts (P,) of the whole pool from before the run, as one visit of each prompt.

        Prompts with 0 attempts stay unseen.
        """
        self.update(np.arange(attempts.size), attempts, passes)

    def resize(self, num_prompts: int) -> None:
        """Another size of the pool: further prompts are unseen, those beyond it are forgotten."""
        for name, array in vars(self).items():
            if isinstance(array, np.ndarray):
                setattr(self, name, resized(array, num_prompts))


def _pooled(passes: IntArray, rollouts: IntArray) -> Estimate:
    """Successes over rollouts, each (m,); UNSEEN where there are no rollouts."""
    rate = np.full(passes.shape, UNSEEN)
    np.divide(passes, rollouts, out=rate, where=rollouts > 0)
    return Estimate(rate, rollouts.astype(np.float64))


class LastVisit(PassRateEstimator):
    """Successes over rollouts of the last visit (arXiv 2602.03048 and 2509.25849)."""

    def __init__(self, num_prompts: int) -> None:
        """Start with no visits."""
        self.passes = np.zeros(num_prompts, dtype=np.int64)
        self.rollouts = np.zeros(num_prompts, dtype=np.int64)

    def update(self, prompts: IntArray, budgets: IntArray, passes: IntArray) -> None:
        """Replace the last visit."""
        tried = budgets > 0
        if not tried.all():
            prompts, budgets, passes = prompts[tried], budgets[tried], passes[tried]
        self.passes[prompts] = passes
        self.rollouts[prompts] = budgets

    def estimate(self, prompts: IntArray) -> Estimate:
        """The last visit's rate; attempts are its rollouts."""
        return _pooled(self.passes[prompts], self.rollouts[prompts])


class Window(PassRateEstimator):
    """Successes over rollouts, pooled over a prompt's last ``window`` visits.

    Counts have 8 bits each, and more from the first visit on that needs them.
    """

    def __init__(self, num_prompts: int, *, window: int = 3) -> None:
        """Start with no visits; ``window`` >= 1 visits are kept per prompt."""
        if window < 1:
            raise InputError(f"the estimator's window must hold at least 1 visit, got {window}")
        self.passes = np.zeros((num_prompts, window), dtype=np.uint8)  # ring over visits
        self.rollouts = np.zeros((num_prompts, window), dtype=np.uint8)
        self.visits = np.zeros(num_prompts, dtype=np.int32)

    def update(self, prompts: IntArray, budgets: IntArray, passes: IntArray) -> None:
        """Overwrite the oldest visit in the ring."""
        tried = budgets > 0
        if not tried.all():
            prompts, budgets, passes = prompts[tried], budgets[tried], passes[tried]
        most = int(budgets.max(initial=0))
        self.passes, self.rollouts = (wide_enough(x, most) for x in (self.passes, self.rollouts))
        slot = self.visits[prompts] % self.passes.shape[1]
        self.passes[prompts, slot] = passes
        self.rollouts[prompts, slot] = budgets
        self.visits[prompts] += 1

    def estimate(self, prompts: IntArray) -> Estimate:
        """Pooled rate; attempts are the pooled rollouts."""
        passes, rollouts = self._counts(prompts)
        return _pooled(passes.sum(axis=1), rollouts.sum(axis=1))

    def _counts(self, prompts: IntArray) -> tuple[IntArray, IntArray]:
        """Passes and rollouts (m, window) of prompts (m,), in the order of the ring."""
        return self.passes[prompts].astype(np.int64), self.rollouts[prompts].astype(np.int64)


class Robust(Window):
    """Knapsack-RL's public rule (arXiv 2509.25849): never fewer than 16 rewards, if it can be.

    The mean of the last visit; if that visit had fewer than ``enough`` rewards, the mean of the
    latest ``enough`` across visits. Prompts with fewer than ``least`` rewards so far count as
    unseen. Departure: of the oldest visit that is needed only a part may fall among the latest
    ``enough`` rewards; the order inside a visit is not kept, so its rate counts for that part.
    """

    def __init__(self, num_prompts: int, *, enough: int = 16, least: int = 8) -> None:
        """Start with no visits; up to ``enough`` visits are kept per prompt."""
        super().__init__(num_prompts, window=enough)
        self.enough, self.least = enough, least

    def estimate(self, prompts: IntArray) -> Estimate:
        """See the class."""
        width = self.passes.shape[1]
        newest_first = (self.visits[prompts, None] - 1 - np.arange(width)) % width  # (m, w)
        passes, rollouts = (
            np.take_along_axis(counts, newest_first, axis=1) for counts in self._counts(prompts)
        )
        before = np.cumsum(rollouts, axis=1) - rollouts
        used = np.clip(self.enough - before, 0, rollouts)
        used[:, 0] = rollouts[:, 0]  # the last visit counts in full
        total = used.sum(axis=1)
        share = used / np.maximum(rollouts, 1)
        rate = (share * passes).sum(axis=1) / np.maximum(total, 1)
        known = rollouts.sum(axis=1) >= self.least
        return Estimate(np.where(known, rate, UNSEEN), np.where(known, total, 0).astype(np.float64))


class Posterior(PassRateEstimator):
    """A Beta posterior whose evidence fades, on a prior pooled over the batch.

    Before a visit is added, earlier evidence is multiplied by ``memory``: a policy moves on, and
    a rate measured long ago says less. The prior has the weight of ``prior_weight`` rollouts at
    the mean rate of the batch's seen prompts (a mean over prompts, shrunk by one prompt at 0.5
    so that it is never 0 or 1). Hence two rollouts that agree never make an estimate of 0 or 1.
    """

    def __init__(self, num_prompts: int, *, memory: float = 0.7, prior_weight: float = 4.0) -> None:
        """Start with no evidence; 0 <= ``memory`` <= 1, ``prior_weight`` > 0."""
        if not 0.0 <= memory <= 1.0:
            raise InputError(f"the posterior's memory must lie in [0, 1], got {memory}")
        if not prior_weight > 0.0:
            raise InputError(f"the posterior's prior_weight must be above 0, got {prior_weight}")
        self.memory, self.prior_weight = memory, prior_weight
        self.passes = np.zeros(num_prompts)
        self.failures = np.zeros(num_prompts)

    def update(self, prompts: IntArray, budgets: IntArray, passes: IntArray) -> None:
        """Discount, then add the visit."""
        tried = budgets > 0
        if not tried.all():
            prompts, budgets, passes = prompts[tried], budgets[tried], passes[tried]
        self.passes[prompts] = self.memory * self.passes[prompts] + passes
        self.failures[prompts] = self.memory * self.failures[prompts] + (budgets - passes)

    def estimate(self, prompts: IntArray) -> Estimate:
        """Posterior mean; attempts are the discounted rollouts, without the prior."""
        passes, failures = self.passes[prompts], self.failures[prompts]
        attempts = passes + failures
        seen = attempts > 0
        rates = passes[seen] / attempts[seen]
        prior = (float(rates.sum()) + UNSEEN) / (rates.size + 1)
        a = passes + self.prior_weight * prior
        b = failures + self.prior_weight * (1.0 - prior)
        return Estimate(a / (a + b), attempts, (a, b))


ESTIMATORS: dict[str, Callable[..., PassRateEstimator]] = {
    "last": LastVisit,
    "window": Window,
    "robust": Robust,
    "posterior": Posterior,
}


def make_estimator(name: str, num_prompts: int, **parameters: float) -> PassRateEstimator:
    """Build an estimator by name for a pool of ``num_prompts`` prompts.

    Raises InputError for an unknown name or a parameter that it does not take.
    """
    if name not in ESTIMATORS:
        raise unknown_name("estimator", name, ESTIMATORS)
    try:
        return ESTIMATORS[name](num_prompts, **parameters)
    except TypeError:
        raise InputError(
            f"estimator {name!r} does not take {', '.join(sorted(parameters))}"
        ) from None
