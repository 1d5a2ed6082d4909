"""A long run in the world of skill chains: easy skills come first."""

from __future__ import annotations

import numpy as np
from small_worlds import build

from cobasim.allocation import make_allocator
from cobasim.loop import Loop, LoopConfig


def test_a_smooth_spectrum_relays_from_easy_to_hard():
    """arXiv 2602.14872's qualitative target: easier skills are mastered first, then harder."""
    policy = build("skill-chain", transfer=1.0, noise=0.0, num_prompts=2000, num_heldout=200)
    loop = Loop(
        policy, LoopConfig(steps=400, batch_size=128, total_budget=2048, eval_every=400), seed=0
    )
    gains = []

    for _ in range(4):
        before = policy.skills.copy()
        for _ in range(100):
            loop.advance(make_allocator("uniform"))
        gains.append((policy.skills - before)[:-1].mean(axis=0))
    centre = [
        float((np.arange(12) * np.clip(g, 0, None)).sum() / np.clip(g, 0, None).sum())
        for g in gains
    ]
    assert centre[-1] > centre[0] + 0.3, centre
