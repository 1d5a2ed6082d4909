"""Independent random streams of a task's seed, one for each choice that is drawn."""

from __future__ import annotations

import numpy as np

from cobasim.errors import InputError

LADDER_SPLIT = 101  # which operand pairs are held out
LADDER_TRAIN = 102  # which questions of a level train
LADDER_HELDOUT = 103  # which held-out pairs of a level are asked
LADDER_ORDER = 104  # order of the pool
GYM_SOURCE = 111  # seed of a generator
GYM_ORDER = 112  # order of the pool
FILES_SPLIT = 121  # which problems of the train file are held out


def rng_of(seed: int, *stream: int) -> np.random.Generator:
    """The generator of one stream of one seed. Raises InputError for a negative seed."""
    if seed < 0:
        raise InputError(f"seed {seed} is negative: give an integer >= 0")
    return np.random.default_rng([seed, *stream])
