"""A budget of tokens as one of rollouts, which is what allocators divide."""

from __future__ import annotations

import numpy as np

from cobasim.allocation import Evidence
from cobasim.arrays import FloatArray

MEMORY = 0.7  # what past steps still count, each step later


class TokenBudget(Evidence):
    """How many rollouts a step's tokens buy.

    They buy tokens / (mean believed length of the batch's prompts x price) rollouts. The price is
    what a rollout of past steps cost, over the mean length believed of its batch, older steps
    counting less by MEMORY: below 1 for an allocator that prefers short prompts, above 1 while
    responses grow. So a step is near its tokens, never exactly at them; what it cost is recorded,
    and a run ends by what was really spent.

    Args:
        tokens: for a step, in the unit of the lengths.
    """

    def __init__(self, tokens: float) -> None:
        self.tokens = tokens
        self.sums = np.zeros(2)  # tokens spent, tokens as believed for even budgets; discounted

    @property
    def price(self) -> float:
        """Tokens spent over tokens believed; 1 before the first step with believed lengths."""
        spent, believed = self.sums
        return float(spent / believed) if believed > 0 else 1.0

    def rollouts(self, lengths: FloatArray) -> int:
        """Rollouts for a step on prompts of these believed lengths (m,), to the nearest."""
        return round(self.tokens / (float(lengths.mean()) * self.price))

    def update(self, lengths: FloatArray, rollouts: int, tokens: float) -> None:
        """Learn from a step: what was believed of its prompts (m,), and what it spent."""
        self.sums *= MEMORY
        self.sums += tokens, rollouts * float(lengths.mean())
