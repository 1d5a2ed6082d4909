"""The parts of a run's gradient as they are now: averages of the equations of its last steps."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.gradients.quarters import Equations

SPAN = 10.0  # steps of the averages


@dataclass(frozen=True)
class GradientParts:
    """What gradients are made of, for allocators and records.

    Two sets of units. *Of logits*: a group moves its prompt's logit by u, and its gradient is
    u phi_i plus a noise of variance noise / n given its outcomes. *Of advantages*: as in ``parts``,
    where mu_i = sqrt(p (1-p)) phi_i is the mean of A s, and ``within`` counts what the outcome of a
    single rollout changes too:

        own + shared = p (1-p) (logit_own + logit_shared)
        within = noise + (1 - 4 p (1-p)) (logit_own + logit_shared)

    with the mean of p (1-p) over groups with signal.

    Attributes:
        noise: variance of a rollout's advantage times its log-prob's gradient, given outcomes.
        logit_own, logit_shared: |phi_i|^2 is their sum on average, phi_i . phi_k the second. None
            of the three is negative.
        variance: mean p (1-p) of groups with signal.
        steps: that the estimate rests on.
    """

    noise: float
    logit_own: float
    logit_shared: float
    variance: float
    steps: int

    @classmethod
    def from_advantages(
        cls, within: float, own: float, shared: float, variance: float, steps: int = 0
    ) -> GradientParts:
        """From parts in units of advantages, as ``measure_parts`` finds them.

        ``variance`` is the mean p (1-p) of their prompts, above 0. What is negative counts as 0.
        """
        own, shared = max(own, 0.0) / variance, max(shared, 0.0) / variance
        noise = within - (1.0 - 4.0 * variance) * (own + shared)
        return cls(max(noise, 0.0), own, shared, variance, steps)

    @property
    def own(self) -> float:
        """Of one prompt, in units of advantages."""
        return self.variance * self.logit_own

    @property
    def shared(self) -> float:
        """Of all prompts, in units of advantages."""
        return self.variance * self.logit_shared

    @property
    def within(self) -> float:
        """Of one rollout, in units of advantages."""
        spread = 1.0 - 4.0 * self.variance
        return self.noise + spread * (self.logit_own + self.logit_shared)

    @property
    def ratio(self) -> float:
        """logit_own / noise: the ``ratio`` of ``signal``; infinite without noise, 0 without own."""
        if self.logit_own == 0.0:
            return 0.0
        return self.logit_own / self.noise if self.noise > 0.0 else float("inf")

    def numbers(self) -> dict[str, float]:
        """For a step's record; own_over_within is left out where within is 0."""
        own, within = self.own, self.within
        found = {"own": own, "within": within, "shared": self.shared, "noise": self.noise}
        return found if within <= 0.0 else found | {"own_over_within": own / within}


class RunningParts:
    """Exponential averages of the equations of steps, solved when asked.

    Both sides of each equation are averaged with the same weights, which is what takes the bias of
    the start away: only ratios of averages are used.
    """

    def __init__(self, span: float = SPAN) -> None:
        self._keep = 1.0 - 1.0 / span
        self._sums = np.zeros(len(fields(Equations)))
        self._steps = 0

    def add(self, step: Equations) -> None:
        """One more step. One without groups with signal says nothing and is left out."""
        if step.groups > 0:
            self._sums = self._keep * self._sums + step.to_array()
            self._steps += 1

    def parts(self) -> GradientParts | None:
        """The parts; None before there is a step with two halves of some group and two sides."""
        at = Equations(*self._sums.tolist())
        if min(at.across_shared, at.between_own, at.square_noise, at.groups) <= 0.0:
            return None
        shared = max(at.across / at.across_shared, 0.0)
        own = max((at.between - shared * at.between_shared) / at.between_own, 0.0)
        noise = at.square - own * at.square_own - shared * at.square_shared
        return GradientParts(
            noise=max(noise / at.square_noise, 0.0),
            logit_own=own,
            logit_shared=shared,
            variance=at.variance / at.groups,
            steps=self._steps,
        )

    def state_dict(self) -> dict[str, Any]:
        """Averages and steps."""
        return {"sums": self._sums.tolist(), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``. Raises InputError for that of something else."""
        sums: FloatArray = np.asarray(state["sums"], dtype=np.float64)
        if sums.shape != self._sums.shape:
            raise InputError(
                f"the stored parts of the gradient have {sums.size} numbers, not "
                f"{self._sums.size}: they are of another version; start the run anew"
            )
        self._sums, self._steps = sums.copy(), int(state["steps"])
