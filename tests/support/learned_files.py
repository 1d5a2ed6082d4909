"""Networks of the learned allocator, drawn at random."""

from __future__ import annotations

import itertools

import numpy as np

from cobasim.allocation.methods.learned import FEATURES, NUM_PREFERENCES, Network


def random_network(seed: int, hidden: tuple[int, ...] = (5, 7)) -> Network:
    rng = np.random.default_rng(seed)
    sizes = [len(FEATURES), *hidden, NUM_PREFERENCES]
    return Network(
        tuple(
            (rng.normal(size=(out, into)).astype(np.float32).astype(float), rng.normal(size=out))
            for into, out in itertools.pairwise(sizes)
        ),
        "posterior",
    )
