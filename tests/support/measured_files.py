"""A small made-up file of measured gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from cobasim.gradients import MeasuredGradients


def made(prompts: int = 60, heldout: int = 20, rank: int = 8, seed: int = 0, **changes: Any):
    rng = np.random.default_rng(seed)
    size = prompts + heldout
    update = {"advantage": "grpo", "learning_rate": 1e-3, "max_grad_norm": 1.0}
    values: dict[str, Any] = {
        "rate": rng.uniform(0.05, 0.95, size),
        "level": rng.choice(["easy", "hard"], size),
        "heldout": np.arange(size) >= prompts,
        # half precision, as in the file
        "features": rng.standard_normal((size, rank)).astype(np.float16).astype(np.float64),
        "rest": rng.uniform(0.5, 2.0, size),
        "plain": rng.standard_normal((size, 4)).astype(np.float16).astype(np.float64),
        "plain_rest": rng.uniform(0.5, 2.0, size),
        "noise": rng.uniform(0.1, 1.0, rank),
        "noise_total": 20.0,
        "plain_within": 9.0,
        "within_at": np.array([[0.1, 1.5], [0.9, 0.5]]),
        "root_sum": 3.0,
        "info": {"config": {"update": update}, "model": "made up"},
    }
    return MeasuredGradients(**(values | changes))
