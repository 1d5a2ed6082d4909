"""The rollouts made since the last update, over all rounds of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cobasim.arrays import FloatArray, IntArray
from cobatrain.engines import SamplingConfig
from cobatrain.learner.sampler import Sampled
from cobatrain.update import Batch


@dataclass(frozen=True)
class Pending:
    """What the next update learns from."""

    batch: Batch | None = None
    """This rank's rollouts; None before the first round."""
    rewards: FloatArray = field(default_factory=lambda: np.zeros(0))
    """(n,) of the rollouts of all ranks."""
    made: Mapping[int, int] = field(default_factory=dict)
    """Rollouts of each prompt, of all ranks."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Time spent, by phase."""

    def counts(self, prompts: IntArray) -> IntArray:
        """Rollouts made so far of each of these prompts, (m,)."""
        return np.array([self.made.get(int(i), 0) for i in prompts], dtype=np.int64)

    def joined(
        self,
        sampled: Sampled,
        prompts: IntArray,
        budgets: IntArray,
        rewards: FloatArray,
        sampling: SamplingConfig,
    ) -> Pending:
        """These rollouts and those of one more round: ``budgets[i]`` of ``prompts[i]``.

        ``sampled`` is this rank's share, sampled with ``sampling``; ``rewards`` has those of all.
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
        made = (self.counts(prompts) + budgets).tolist()
        spent = {
            "seconds_generate": sampled.seconds_generate,
            "seconds_reward": sampled.seconds_reward,
        }
        return Pending(
            batch=batch if self.batch is None else self.batch.joined(batch),
            rewards=np.concatenate([self.rewards, rewards]),
            made={**self.made, **dict(zip(prompts.tolist(), made, strict=True))},
            seconds={name: self.seconds.get(name, 0.0) + value for name, value in spent.items()},
        )
