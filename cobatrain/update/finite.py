"""Finding NaN and Inf before a step is taken on them."""

from __future__ import annotations

import numpy as np
import torch

from cobasim.arrays import IntArray
from cobatrain.parallel import Parallel
from cobatrain.update.batch import Batch


class NonFiniteError(RuntimeError):
    """NaN or Inf in the loss, the gradient or the engine's log-probs; no step was taken on it.

    Gradients are cleared.

    Attributes:
        batch: this rank's whole batch.
        rows: its suspect rollouts: those of the micro-batches with a bad loss, else those of the
            mini-batch. Empty if only other ranks saw it.
        steps: how many mini-batches were stepped on before; 0: the parameters are as before the
            update.
    """

    def __init__(self, what: str, batch: Batch, rows: IntArray, steps: int) -> None:
        super().__init__(
            f"{what} is not finite: no optimiser step was taken on it; {len(rows)} rollouts are "
            "suspect (in .rows, of the batch in .batch). Save them, then resume from the last "
            "checkpoint with a lower learning rate or without bf16"
        )
        self.batch = batch
        self.rows = rows
        self.steps = steps


def check_log_probs(batch: Batch, parallel: Parallel, device: torch.device) -> None:
    """Raise NonFiniteError on every rank if an engine's log-prob on any rank is not finite."""
    bad = np.array(
        [j for j, row in enumerate(batch.log_probs) if not np.isfinite(row).all()], dtype=np.int64
    )
    if parallel.total(torch.tensor(float(len(bad)), device=device)) > 0:
        raise NonFiniteError("a log-prob of the engine", batch, bad, 0)
