"""The rollouts that one update learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.errors import InputError

TokenRow = Sequence[int] | IntArray
LogProbRow = Sequence[float] | FloatArray


@dataclass(frozen=True)
class Batch:
    """n rollouts with their rewards, flat; each rank has its own.

    Raises InputError if the lists differ in length, if a prompt or a response is empty, or if the
    temperature is not above 0.
    """

    prompts: Sequence[TokenRow]
    """n lists of token ids, each with at least one."""
    responses: Sequence[TokenRow]
    """n lists of sampled token ids, each with at least one; the stop token counts."""
    log_probs: Sequence[LogProbRow]
    """n lists: the engine's log-prob of each sampled token, at ``temperature``."""
    rewards: FloatArray
    """(n,) any finite numbers; 0 or 1 with a verifier."""
    group: IntArray
    """(n,) which prompt: one number per prompt, the same on every rank."""
    temperature: float = 1.0
    """The temperature that the rollouts were sampled at."""
    finished: BoolArray | None = None
    """(n,) False where the maximum length cut the response off; None: nowhere."""
    max_tokens: int | None = None
    """That maximum, in sampled tokens; needed for a penalty on length."""

    def __post_init__(self) -> None:
        n = len(self.responses)
        for name in ("prompts", "log_probs", "rewards", "group"):
            entries = len(getattr(self, name))
            if entries != n:
                raise InputError(f"{name} has {entries} entries for {n} responses")
        if self.finished is not None and len(self.finished) != n:
            raise InputError(f"finished has {len(self.finished)} entries for {n} responses")
        if not self.temperature > 0:
            raise InputError(f"temperature must be above 0, got {self.temperature}")
        for j in range(n):
            prompt, response, log_probs = (
                len(rows[j]) for rows in (self.prompts, self.responses, self.log_probs)
            )
            if not prompt or not response:
                raise InputError(
                    f"rollout {j} has {prompt} prompt and {response} sampled tokens: at least 1 "
                    "of each is needed (the stop token counts)"
                )
            if response != log_probs:
                raise InputError(
                    f"rollout {j} has {response} sampled tokens and {log_probs} log-probs"
                )

    def __len__(self) -> int:
        return len(self.responses)

    @property
    def lengths(self) -> IntArray:
        """Sampled tokens of each rollout, (n,)."""
        return np.array([len(row) for row in self.responses], dtype=np.int64)

    @property
    def prompt_lengths(self) -> IntArray:
        """Prompt tokens of each rollout, (n,)."""
        return np.array([len(row) for row in self.prompts], dtype=np.int64)

    @property
    def cut_off(self) -> BoolArray:
        """Which rollouts the maximum length cut off, (n,)."""
        if self.finished is None:
            return np.zeros(len(self), dtype=np.bool_)
        cut: BoolArray = ~np.asarray(self.finished, dtype=np.bool_)
        return cut

    def joined(self, later: Batch) -> Batch:
        """These rollouts and those of a later round of the same step.

        The rollouts of a group need not be neighbours.
        """
        return replace(
            self,
            prompts=[*self.prompts, *later.prompts],
            responses=[*self.responses, *later.responses],
            log_probs=[*self.log_probs, *later.log_probs],
            rewards=np.concatenate([self.rewards, later.rewards]),
            group=np.concatenate([self.group, later.group]),
            finished=~np.concatenate([self.cut_off, later.cut_off]),
        )
