"""Which prompts make the batch of a step: a pure function of seed and step, so resume is free."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cobasim.arrays import IntArray
from cobasim.errors import InputError
from cobasim.loop.config import MixStep
from cobasim.streams import ORDER, stream


class BatchOrder:
    """Epochs over shuffled prompts; or, under a schedule of task mixes, weighted draws.

    Prompts of a batch are distinct. An epoch drops what does not fill a last batch (it comes up
    in the next shuffle).
    """

    def __init__(
        self,
        num_prompts: int,
        batch_size: int,
        seed: int,
        *,
        mix: Sequence[MixStep] = (),
        clusters: IntArray | None = None,
    ) -> None:
        """``clusters`` (P,) names each prompt's cluster; needed for a ``mix`` only."""
        if batch_size > num_prompts:
            raise InputError(
                f"a batch of {batch_size} distinct prompts needs a pool of at least {batch_size}, "
                f"got {num_prompts}; use a smaller batch or more prompts"
            )
        if mix and clusters is None:
            raise InputError("a schedule of task mixes needs prompts with clusters")
        self._num_prompts, self._batch_size, self._seed = num_prompts, batch_size, seed
        self._mix = sorted(mix, key=lambda entry: entry.step)
        self._clusters = clusters
        self._epoch = -1
        self._shuffled = np.empty(0, dtype=np.int64)

    def batch(self, step: int, drawn: int = 0) -> IntArray:
        """(M,) distinct prompts for a step (from 0), ``drawn`` batches beyond one a step later."""
        active = [entry for entry in self._mix if entry.step <= step]
        if active:
            return self._draw(step + drawn, active[-1].weights)
        epoch, position = divmod(step + drawn, self._num_prompts // self._batch_size)
        if epoch != self._epoch:
            self._epoch = epoch
            self._shuffled = stream(self._seed, ORDER, epoch).permutation(self._num_prompts)
        start = position * self._batch_size
        return self._shuffled[start : start + self._batch_size]

    def _draw(self, step: int, weights: tuple[float, ...]) -> IntArray:
        assert self._clusters is not None
        table = np.zeros(max(int(self._clusters.max()) + 1, len(weights)))
        table[: len(weights)] = weights
        weight = table[self._clusters]
        if int(np.count_nonzero(weight)) < self._batch_size:
            raise InputError(
                f"the task mix at step {step} leaves {np.count_nonzero(weight)} prompts for a "
                f"batch of {self._batch_size}; give more clusters a weight above 0"
            )
        # Gumbel top-k: a weighted draw without replacement
        uniform = stream(self._seed, ORDER, step).random(weight.size)
        with np.errstate(divide="ignore"):
            keys = np.log(weight) - np.log(-np.log(uniform))
        last = weight.size - self._batch_size
        return np.argpartition(keys, last)[last:].astype(np.int64)
