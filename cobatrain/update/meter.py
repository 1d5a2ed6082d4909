"""What gradients are made of, from the gradients that updates compute anyway.

An update's rollouts are run quarter by quarter (``cobasim.gradients.split_quarters``), and the
gradient that has accumulated is sketched after each. Sketches are linear, so their differences are
those of the quarters' gradients: four sketches a step, and no second gradient. Squared lengths and
products of sketches have those of the gradients as their means, with a relative error of about
1 / sqrt(D).

Memory: one byte for each trained number, the signs of the sketch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from cobasim.arrays import FloatArray, IntArray
from cobasim.gradients import Quarters, RunningParts, split_quarters
from cobasim.streams import QUARTERS, stream
from cobatrain.parallel import Parallel
from cobatrain.sketch import CountSketch
from cobatrain.update.batch import Batch
from cobatrain.update.config import UpdateConfig
from cobatrain.update.plan import LossTerms

DIM = 16_384  # numbers of a sketch


class PartsMeter:
    """Measures the parts of the gradient of one update after another.

    In the units of a response's log-prob averaged over its tokens, times the mean length of
    responses, as ``cobatrain gradients`` has them; of its log-prob itself where the loss does not
    divide by the response's own length.

    Args:
        model: on its device, sharded already if it will be.
        seed: fixes the quarters and the sketch.
        parallel: the other ranks. Replicas sketch alike; shards are sketched each by its own
            signs, which together are a sketch of the whole, the same for every model.

    Attributes:
        running: the averages over updates.
    """

    def __init__(self, model: nn.Module, seed: int, parallel: Parallel) -> None:
        self.running = RunningParts()
        self._seed, self._updates = seed, 0
        sizes = [_local(p).numel() for p in model.parameters() if p.requires_grad]
        own_seed = seed * 4096 + parallel.rank % parallel.shards
        self._sketch = CountSketch(sizes, DIM, own_seed)
        self._quarters: Quarters | None = None
        self._marks: list[Tensor] = []

    def deal(
        self,
        batch: Batch,
        terms: LossTerms,
        config: UpdateConfig,
        weighting: str,
        parallel: Parallel,
    ) -> IntArray:
        """The quarters (n,) of this rank's rollouts in the next update. Collective.

        Raises InputError for rewards other than 0 and 1 and a config that is not measurable.
        """
        config.check_measurable()
        coefficient = terms.advantage * terms.weight
        if config.constant_length is None and weighting != "token":
            coefficient = coefficient * batch.lengths / (terms.tokens / terms.rollouts)
        everywhere = parallel.gather((batch.rewards, batch.group, coefficient))
        rewards, group, coefficients = (
            np.concatenate([part[k] for part in everywhere]) for k in range(3)
        )
        rng = stream(self._seed, QUARTERS, self._updates)
        self._quarters = split_quarters(
            rewards.astype(np.float64), group.astype(np.int64), coefficients, rng
        )
        self._marks = []
        start = sum(len(part[0]) for part in everywhere[: parallel.rank])
        return self._quarters.quarter[start : start + len(batch)]

    def mark(self, parameters: Sequence[nn.Parameter]) -> None:
        """A quarter is done: sketch what has accumulated on this rank."""
        total = self._sketch.zeros(device=_local(parameters[0]).device)
        for number, parameter in enumerate(parameters):
            if parameter.grad is not None:
                gradient = _local(parameter.grad).detach()
                self._sketch.add(total, number, gradient.reshape(1, -1).float())
        self._marks.append(total[0])

    def learn(self, parallel: Parallel) -> None:
        """The update's gradients are sound: let them count. Collective."""
        assert self._quarters is not None
        marks = parallel.total(torch.stack(self._marks).double()).cpu().numpy()
        if parallel.sharded:  # backward has summed shards over all ranks: each model has them all
            marks /= parallel.world // parallel.shards
        quarters: FloatArray = np.diff(marks, axis=0, prepend=0.0)
        self.running.add(self._quarters.equations(quarters @ quarters.T))
        self._updates += 1
        self._marks = []

    def state_dict(self) -> dict[str, Any]:
        """Averages, and the number of updates."""
        return {"running": self.running.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""
        self.running.load_state_dict(state["running"])
        self._updates = int(state["updates"])


def _local(tensor: Tensor) -> Tensor:
    """What this rank holds of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
