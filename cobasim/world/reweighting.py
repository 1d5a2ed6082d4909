"""Weights of the loss that are taken from another allocator than the one that spends rollouts.

Under the weighting "rollout" an allocator decides two things at once: how well each prompt's
gradient is measured, and how much it counts. This loop takes them apart.
"""

from __future__ import annotations

from cobasim.allocation import Allocator, Observation
from cobasim.arrays import IntArray
from cobasim.loop import Loop, LoopConfig, Spent
from cobasim.world.policies import SimulatedPolicy


class ReweightedLoop(Loop):
    """A loop whose updates weigh prompts as if ``weigh`` had spent the rollouts.

    Args:
        policy: the simulated policy.
        config: sizes, bounds and rules of the loop.
        weigh: sees what the spending allocator sees; w_i = its B_i / sum B.
        seed, estimator: as for ``Loop``.
    """

    def __init__(
        self,
        policy: SimulatedPolicy,
        config: LoopConfig,
        weigh: Allocator,
        *,
        seed: int,
        estimator: str = "last",
    ) -> None:
        super().__init__(policy, config, seed=seed, estimator=estimator)
        self.policy, self.weigh = policy, weigh

    def _spend(self, allocator: Allocator, prompts: IntArray, obs: Observation) -> Spent:
        """As ``Loop``; the update will be weighed by ``weigh``'s budgets."""
        self.policy.loss_budgets = self.weigh(obs, self.limits)
        return super()._spend(allocator, prompts, obs)
