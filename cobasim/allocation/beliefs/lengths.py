"""How long the responses to a prompt are, believed from its own responses."""

from __future__ import annotations

import numpy as np

from cobasim.allocation.beliefs.evidence import Evidence
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError


class ResponseLengths(Evidence):
    """Mean response length of each prompt of a pool; older responses count less.

    Before a visit is added, earlier evidence is multiplied by ``memory``, as in the posterior of
    pass rates. A prompt without responses is believed to have the mean length of the last step's
    groups, a mean over prompts. Prompts are pool indices, distinct in one batch.
    """

    def __init__(self, num_prompts: int, *, memory: float = 0.7) -> None:
        """Start with no response; 0 <= ``memory`` <= 1."""
        if not 0.0 <= memory <= 1.0:
            raise InputError(f"the memory of response lengths must lie in [0, 1], got {memory}")
        self.memory = memory
        self.length = np.full(num_prompts, np.nan)  # tokens of a response, in any one unit
        self.rollouts = np.zeros(num_prompts)  # behind it, discounted
        self.latest = np.full(1, np.nan)  # mean over the last step's groups

    def estimate(self, prompts: IntArray) -> FloatArray | None:
        """Mean lengths (m,), in the unit of the tokens; None before the first response."""
        if np.isnan(self.latest[0]):
            return None
        own = self.own(prompts)
        return np.where(np.isnan(own), self.latest[0], own)

    def own(self, prompts: IntArray) -> FloatArray:
        """Mean lengths (m,) as known from the prompts' own responses; nan without one."""
        return np.asarray(self.length[prompts])

    def update(self, prompts: IntArray, budgets: IntArray, tokens: FloatArray) -> None:
        """Count one visit: ``tokens`` in all of ``budgets`` responses, each (m,), in place.

        A prompt that got no rollout keeps its evidence.
        """
        tried = budgets > 0
        if not tried.all():
            prompts, budgets, tokens = prompts[tried], budgets[tried], tokens[tried]
        if not prompts.size:
            return
        group = tokens / budgets
        rollouts = self.memory * self.rollouts[prompts] + budgets
        before = self.length[prompts]
        before = np.where(np.isnan(before), group, before)
        # not a quotient of sums: where all responses are equally long, so are the beliefs, exactly
        self.length[prompts] = before + (group - before) * (budgets / rollouts)
        self.rollouts[prompts] = rollouts
        self.latest[0] = group.mean()
