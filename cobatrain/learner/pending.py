"""The rollouts made since the last update, over all rounds of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cobasim.arrays import FloatArray, IntArray
from cobatrain.engines import SamplingConfig
from cobatrain.learner.sampler import Outcomes, Sampled
from cobatrain.update import Batch


@dataclass(frozen=True)
class Pending:
    """What the next update learns from."""

    batch: Batch | None = None
    """This rank's rollouts; None before the first round."""
    rewards: FloatArray = field(default_factory=lambda: np.zeros(0))
    """(n,) of the rollouts of all ranks."""
    groups: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """(n,) prompt of each of them, in the pool."""
    lengths: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """(n,) sampled tokens of each of them."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Time spent, by phase."""

    def counts(self, prompts: IntArray) -> IntArray:
        """Rollouts made so far of each of these prompts, (m,)."""
        return self._sums(prompts).astype(np.int64)

    def tokens_of(self, prompts: IntArray) -> FloatArray:
        """Sampled tokens of all rollouts made so far of each of these prompts, (m,)."""
        return self._sums(prompts, self.lengths).astype(np.float64)

    def _sums(self, prompts: IntArray, weights: IntArray | None = None) -> NDArray[Any]:
        size = int(prompts.max(initial=-1)) + 1
        return np.bincount(self.groups, weights, minlength=size)[prompts]

    def joined(
        self,
        sampled: Sampled,
        prompts: IntArray,
        outcomes: Outcomes,
        sampling: SamplingConfig,
    ) -> Pending:
        """These rollouts and those of one more round, of prompts (m,) of the pool.

        ``sampled`` is this rank's share, sampled with ``sampling``; ``outcomes`` has those of all.
        """
        rollouts = sampled.rollouts
        batch = Batch(
            prompts=[rollouts.prompt_tokens[i] for i in rollouts.prompt],
            responses=rollouts.tokens,
            log_probs=rollouts.log_probs,
            rewards=sampled.rewards,
            group=prompts[rollouts.prompt],
            temperature=sampling.temperature,
            finished=rollouts.finished,
            max_tokens=sampling.max_tokens,
        )
        spent = {
            "seconds_generate": sampled.seconds_generate,
            "seconds_reward": sampled.seconds_reward,
        }
        return Pending(
            batch=batch if self.batch is None else self.batch.joined(batch),
            rewards=np.concatenate([self.rewards, outcomes.rewards]),
            groups=np.concatenate([self.groups, prompts[outcomes.prompt]]),
            lengths=np.concatenate([self.lengths, outcomes.lengths]),
            seconds={name: self.seconds.get(name, 0.0) + value for name, value in spent.items()},
        )
