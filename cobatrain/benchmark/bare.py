"""The floor of an update: forward and backward of the model over the same rollouts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from cobatrain.benchmark.clock import now
from cobatrain.learner import LanguageModelLearner
from cobatrain.update import Batch, loss_terms, micro_batches, pad, used_rollouts


@contextmanager
def caught_batches(learner: LanguageModelLearner) -> Iterator[list[Batch]]:
    """The batches that updates inside the block learn from, in their order."""
    open_learner: Any = learner
    real, caught = learner.update, []

    def update() -> dict[str, float]:
        if learner.pending.batch is not None:
            caught.append(learner.pending.batch)
        return real()

    open_learner.update = update
    try:
        yield caught
    finally:
        del open_learner.update


def bare_seconds(learner: LanguageModelLearner, batch: Batch) -> float:
    """Seconds of forward and backward over the rollouts of ``batch`` that have signal.

    As a plain script does it: every rollout in a row of its own, sorted by length, in micro-batches
    of ``update.micro_tokens``; whole logits; the mean cross-entropy of the sampled tokens. In
    bfloat16 where the update is. Nothing is learned: the gradients are dropped. 0 if no rollout has
    signal.
    """
    config, model = learner.config.update, learner.model
    terms = loss_terms(batch, config, learner.weighting, learner.parallel)
    rows = np.flatnonzero(used_rollouts(terms, config))
    if not rows.size:
        return 0.0
    lengths = (batch.prompt_lengths + batch.lengths)[rows]
    device = next(model.parameters()).device
    lists = batch.prompts, batch.responses, batch.log_probs
    micros = [
        pad(*lists, rows[part], device) for part in micro_batches(lengths, config.micro_tokens)
    ]
    began = now()
    for micro in micros:
        with torch.autocast(device.type, dtype=torch.bfloat16) if config.bf16 else nullcontext():
            logits = model(input_ids=micro.tokens, use_cache=False).logits
        chosen = logits[:, micro.first : -1][micro.mask].float()
        functional.cross_entropy(chosen, micro.targets[micro.mask]).backward()
    seconds = now() - began
    model.zero_grad(set_to_none=True)
    return seconds
