"""Independent random streams of one seed: ``np.random.default_rng([seed, STREAM, step])``."""

from __future__ import annotations

import numpy as np

POPULATION = 1  # the prompt pool: initial pass rates, features
HELDOUT = 2  # held-out prompts
ORDER = 3  # which prompts make a batch
ROLLOUTS = 4  # outcomes of rollouts, and the noise of their gradients
DRIFT = 6  # exogenous changes of the world
REGIME = 7  # the prompts of a new regime
ALLOCATION = 8  # choices of allocators that draw lots
LENGTHS = 9  # response lengths of prompts
COPIES = 11  # how copies of a measured prompt differ
EVIDENCE = 10  # counts of rollouts from before the run
QUARTERS = 12  # how a step's rollouts are dealt to measure the parts of its gradient


def stream(seed: int, name: int, step: int = 0) -> np.random.Generator:
    """The generator of one stream at one step; never shared between streams or steps."""
    return np.random.default_rng([seed, name, step])
