"""Pass rates of answers of several tokens, from the log-odds of what each token competes with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cobasim.arrays import BoolArray, FloatArray, IntArray, RealArray

LARGEST = 500.0  # log-odds above it count as that: their exponential must stay finite


@dataclass(frozen=True, eq=False)
class Answers:
    """Alternatives of m prompts, N in all, those of a prompt side by side and in order.

    Attributes:
        start: (m,) first alternative of each prompt.
        count: (m,) how many; 1 at least.
        first: (N,) bool: the first of its position in the answer.
    """

    start: IntArray
    count: IntArray
    first: BoolArray

    @classmethod
    def of(cls, prompt: IntArray, position: IntArray) -> Answers:
        """From the prompt (N,), 0 .. m-1 in order, and position (N,) of each alternative."""
        count = np.bincount(prompt)
        start = np.cumsum(count) - count
        changed = (np.diff(prompt) != 0) | (np.diff(position) != 0)
        return cls(start, count, np.concatenate([[True], changed]))

    def take(self, prompts: IntArray) -> tuple[IntArray, Answers]:
        """The alternatives (k,) of some prompts (m',), and these prompts alone."""
        count = self.count[prompts]
        start = np.cumsum(count) - count
        rows = np.repeat(self.start[prompts] - start, count) + np.arange(int(count.sum()))
        return rows, Answers(start, count, self.first[rows])

    def rates(self, odds: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Pass rates (m,) at log-odds (N,), and how logits follow from them.

            log p = - sum over positions of log(1 + sum over alternatives of exp a_v)
            d logit p = sum_v weight_v d a_v,   weight_v = - probability_v / (1 - p)

        Returns the rates and the weights (N,); a rate stays below 1.
        """
        heads = np.flatnonzero(self.first)
        power = np.exp(np.minimum(odds, LARGEST))
        total = 1.0 + np.add.reduceat(power, heads)
        log_rate = -np.add.reduceat(np.log(total), np.searchsorted(heads, self.start))
        failing = np.maximum(-np.expm1(log_rate), 1e-12)
        sizes = np.diff(np.append(heads, odds.size))
        weights = -power / np.repeat(total, sizes) / np.repeat(failing, self.count)
        return np.exp(log_rate), np.asarray(weights)

    def sums(self, values: RealArray) -> RealArray:
        """Sums over the alternatives of each prompt: (N, ...) to (m, ...)."""
        return np.asarray(np.add.reduceat(values, self.start, axis=0))
