"""Held-out accuracy of the policy, from completions that are sampled for it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from cobasim.arrays import IntArray
from cobatrain.config import TrainConfig
from cobatrain.evaluation import summarise
from cobatrain.learner.sampler import EVALUATION, Sampler, SampleRequest
from cobatrain.tasks import Task


def evaluate_heldout(
    sampler: Sampler, task: Task, config: TrainConfig, step: int
) -> dict[str, Any]:
    """avg@k and pass@k on every held-out data set; "heldout" is their mean accuracy. Collective."""
    settings = config.evaluation
    sampling = config.sampling.model_copy(
        update={"temperature": settings.temperature, "top_p": settings.top_p}
    )
    began = time.perf_counter()
    sets: dict[str, Any] = {}
    for number, (name, prompts) in enumerate(sorted(task.heldout.items())):
        picked = evaluated(len(prompts), settings.prompts)
        chosen = [prompts[int(i)] for i in picked]
        request = SampleRequest(
            prompts=chosen,
            numbers=picked + (number << 40),  # each data set has its own seeds
            budgets=np.full(len(picked), settings.samples, dtype=np.int64),
            sampling=sampling,
            stream=EVALUATION,
            step=step,
        )
        sets[name] = summarise(sampler.rewards(request), [prompt.level for prompt in chosen])
    heldout = float(np.mean([scores["accuracy"] for scores in sets.values()]))
    return {"heldout": heldout, "sets": sets, "seconds": time.perf_counter() - began}


def evaluated(size: int, most: int) -> IntArray:
    """Which of ``size`` prompts are evaluated: ``most`` at most, evenly spaced: all levels."""
    return np.linspace(0, size - 1, min(most, size)).astype(np.int64)
