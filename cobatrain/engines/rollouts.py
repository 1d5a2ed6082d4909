"""The answer of an engine: sampled completions, token by token."""

from dataclasses import dataclass

import numpy as np

from cobasim.arrays import BoolArray, IntArray


@dataclass(frozen=True)
class Rollouts:
    """Sampled completions, flat: one entry per rollout, ordered by prompt, then by rollout.

    n is the sum of the budgets, m the number of prompts of the call.
    """

    prompt: IntArray
    """(n,) index of the rollout's prompt among the given prompts, non-decreasing."""
    tokens: list[list[int]]
    """n completions, token ids; the stop token is included if one was sampled."""
    log_probs: list[list[float]]
    """Natural log-probability of each sampled token under the distribution it was drawn from:
    the softmax of logits / temperature, cut to the top_p nucleus and renormalised. At temperature 1
    and top_p 1 this is the plain log-softmax; for greedy decoding (temperature 0) too."""
    finished: BoolArray
    """(n,) True if a stop token or string ended it, False if max_tokens did."""
    prompt_tokens: list[list[int]]
    """m prompts, token ids, as given."""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def lengths(self) -> IntArray:
        """(n,) completion lengths in tokens."""
        return np.fromiter((len(t) for t in self.tokens), dtype=np.int64, count=len(self.tokens))
