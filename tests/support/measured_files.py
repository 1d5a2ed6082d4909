"""A small made-up file of measured gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from cobasim.gradients import MeasuredGradients


def rates_by_hand(prompt, position, odds):
    """Pass rates, one prompt and one position at a time."""
    rates = []
    for number in range(prompt.max() + 1):
        log_rate = 0.0
        for place in np.unique(position[prompt == number]):
            log_rate -= np.log1p(np.exp(odds[(prompt == number) & (position == place)]).sum())
        rates.append(np.exp(log_rate))
    return np.array(rates)


def made(prompts: int = 60, heldout: int = 20, rank: int = 8, seed: int = 0, **changes: Any):
    """Answers of one to three tokens, each with one to three alternatives."""
    rng = np.random.default_rng(seed)
    size = prompts + heldout
    places = [
        (i, t) for i in range(size) for t in range(rng.integers(1, 4))
        for _ in range(rng.integers(1, 4))
    ]  # fmt: skip
    prompt, position = np.array(places).T
    odds = rng.normal(-1.5, 0.8, len(places))
    update = {"advantage": "grpo", "learning_rate": 1e-3, "max_grad_norm": 1.0}

    def half(values):  # half precision, as in the file
        return values.astype(np.float16)

    values: dict[str, Any] = {
        "rate": rates_by_hand(prompt, position, odds),
        "level": rng.choice(["easy", "hard"], size),
        "heldout": np.arange(size) >= prompts,
        "prompt": prompt,
        "position": position,
        "token": np.arange(len(places)),
        "odds": odds,
        "features": half(rng.standard_normal((len(places), rank))).astype(np.float32),
        "own": half(rng.uniform(-2.0, 2.0, len(places))).astype(np.float64),
        "plain": half(rng.standard_normal((size, 4))).astype(np.float64),
        "plain_rest": rng.uniform(0.5, 2.0, size),
        "noise": rng.uniform(0.1, 1.0, rank),
        "noise_total": 20.0,
        "folded": 0,
        "plain_within": 9.0,
        "within_at": np.array([[0.1, 1.5], [0.9, 0.5]]),
        "root_sum": 3.0,
        "info": {"config": {"update": update}, "model": "made up", "step": 0},
    }
    return MeasuredGradients(**(values | changes))
