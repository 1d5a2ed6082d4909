"""The prompts of a world: where first pass rates come from, prompt sets, clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from cobasim.arrays import FloatArray, IntArray
from cobasim.streams import HELDOUT, POPULATION, stream
from cobasim.world.config import WorldConfig

# name -> Beta(a, b) of the first pass rates
POPULATIONS: dict[str, tuple[float, float]] = {
    # mean 0.30, heavy at both ends: about the shape of a 7B model's pass rates on a
    # 17k-prompt mathematics set
    "math": (0.35, 0.80),
    "easy": (1.2, 0.8),  # mean 0.60
    "hard": (0.20, 1.8),  # mean 0.10
    "middling": (3.0, 5.0),  # mean 0.375, nothing at the ends
}

RATE_FLOOR = 1e-3  # measured rates of exactly 0 or 1 start this far from the end


def draw_pass_rates(rng: np.random.Generator, size: int, population: str) -> FloatArray:
    """First pass rates (size,) of a named population, kept off 0 and 1 by 1e-6.

    A prompt at exactly 0 could never learn and one at exactly 1 never fail.
    """
    a, b = POPULATIONS[population]
    return np.clip(rng.beta(a, b, size), 1e-6, 1.0 - 1e-6)


def resample_pass_rates(rng: np.random.Generator, size: int, measured: FloatArray) -> FloatArray:
    """``size`` rates drawn with replacement from measured ones (a bootstrap)."""
    return measured[rng.integers(0, measured.size, size)]


def keep_off_the_ends(measured: FloatArray) -> FloatArray:
    """Measured rates with exact 0 and 1 moved inside by RATE_FLOOR; all others unchanged.

    No finite number of failures shows that a prompt can never pass.
    """
    rates = np.where(measured <= 0.0, RATE_FLOOR, measured)
    return np.where(measured >= 1.0, 1.0 - RATE_FLOOR, rates)


@dataclass(frozen=True)
class PromptSets:
    """All prompts of a world in one table: the pool, the held-out and the hard prompts.

    Attributes:
        sets: the rows of each set: "pool" (P), "heldout", "hard".
        rates: (n,) first pass rates.
        cluster: (n,) skill clusters.
    """

    sets: dict[str, slice]
    rates: FloatArray
    cluster: IntArray

    @property
    def num_prompts(self) -> int:
        """P, the size of the pool."""
        return int(self.sets["pool"].stop)


def draw_prompt_sets(
    config: WorldConfig, seed: int, pass_rates: FloatArray | None = None
) -> PromptSets:
    """The prompts of a world; hard prompts are held-out ones made harder by ``hard_shift``.

    Args:
        config: the world.
        seed: fixes the prompts.
        pass_rates: (P,) measured first pass rates, one prompt each, resampled for the held-out
            prompts; None: drawn from the population.
    """
    if pass_rates is None:
        first = draw_pass_rates(stream(seed, POPULATION), config.num_prompts, config.population)
        heldout = draw_pass_rates(stream(seed, HELDOUT), config.num_heldout, config.population)
    else:
        first = keep_off_the_ends(pass_rates)
        heldout = resample_pass_rates(stream(seed, HELDOUT), config.num_heldout, first)
    hard = expit(logit(heldout) - config.hard_shift)
    ends = np.cumsum([0, first.size, heldout.size, hard.size]).tolist()
    names = ("pool", "heldout", "hard")
    sets = {name: slice(*ends[place : place + 2]) for place, name in enumerate(names)}
    rates = np.concatenate([first, heldout, hard])
    return PromptSets(sets, rates, _draw_clusters(config, seed, sets, rates))


def _draw_clusters(
    config: WorldConfig, seed: int, sets: dict[str, slice], rates: FloatArray
) -> IntArray:
    """Clusters (n,) of equal size; with relatedness 1 they are bands of difficulty."""
    rng = stream(seed, POPULATION, 1)
    rank = np.empty(rates.size)
    for part in sets.values():  # ranks within each set: all sets have the same mix of clusters
        size = part.stop - part.start
        rank[part][np.argsort(rates[part])] = (np.arange(size) + 0.5) / size
    mixed = config.relatedness * rank + (1.0 - config.relatedness) * rng.random(rates.size)
    cluster = np.empty(rates.size, dtype=np.int64)
    for part in sets.values():
        size = part.stop - part.start
        cluster[part][np.argsort(mixed[part])] = np.arange(size) * config.clusters // size
    return cluster
