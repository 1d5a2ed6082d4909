"""The logistic world: logits linear in features that prompts share."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import logit

from cobasim.arrays import FloatArray, IntArray
from cobasim.streams import POPULATION, REGIME, stream
from cobasim.world.linear import LinearPolicy


def _collisions(
    rng: np.random.Generator, size: int, basis: FloatArray, clusters: int
) -> FloatArray:
    """Random unit vectors (size, d) in the part of the basis that nothing else uses."""
    rest = basis[clusters + 2 :]
    random = rng.standard_normal((size, rest.shape[0]))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    return np.asarray(random @ rest)


KEPT_NUMBERS = 2_000_000  # in one array of directions that is kept for the next run


@lru_cache(maxsize=16)
def _directions(
    seed: int, size: int, d: int, clusters: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What runs of one seed draw alike: (n,) normals for slopes, the basis (d, d), collisions.

    Rows of the basis: the common direction, the clusters, the new cluster, the rest. Read only.
    """
    rng = stream(seed, POPULATION, 2)
    spread = rng.standard_normal(size)
    basis = np.ascontiguousarray(np.linalg.qr(rng.standard_normal((d, d)))[0].T)
    drawn = spread, basis, _collisions(rng, size, basis, clusters)
    for array in drawn:
        array.setflags(write=False)
    return drawn


class LogisticPolicy(LinearPolicy):
    """p_i = sigmoid(slope_i x_i . theta + own part - difficulty_i).

    The unit vector x_i is the sum of a direction common to all prompts, one of the prompt's
    cluster, a random one that collides with other prompts' at random sign (interference), and an
    own one that is orthogonal to everything (kept as the scalar ``own``). With transfer t,
    common share c and interference j the squared lengths are t c, t (1-c), (1-t) j and
    (1-t) (1-j). The shared coordinates are rotated at random, so that Adam's coordinates mean
    nothing.
    """

    def build(self, rates: FloatArray) -> None:
        """See ``SimulatedPolicy``."""
        config = self.config
        size, d = rates.size, config.features
        self.theta = np.zeros(d)
        self.difficulty = -logit(rates)
        draw = _directions if size * d <= KEPT_NUMBERS else _directions.__wrapped__
        spread, self.basis, random = draw(self.seed, size, d, config.clusters)
        self.slope = np.exp(config.slope_spread * spread)
        self.features = self._shared_features(random, self.cluster, self.slope)  # (n, d)
        own = (1.0 - config.transfer) * (1.0 - config.interference)
        self.own_slope = self.slope * np.sqrt(own)  # (n,)

    def _shared_features(
        self, random: FloatArray, cluster: IntArray, slope: FloatArray
    ) -> FloatArray:
        """slope_i times the shared part of x_i, (n, d); ``random``: unit vectors that collide."""
        config = self.config
        shared = np.sqrt(config.transfer)
        features = shared * (
            np.sqrt(config.common) * self.basis[0]
            + np.sqrt(1.0 - config.common) * self.basis[1 + cluster]
        )
        features += np.sqrt((1.0 - config.transfer) * config.interference) * random
        return np.asarray(features * slope[:, None], dtype=np.float64)

    def walk(self, rng: np.random.Generator, scale: float) -> None:
        """See ``SimulatedPolicy``."""
        self.difficulty += scale * rng.standard_normal(self.difficulty.size)

    def enter_regime(self, prompts: IntArray, rates: FloatArray) -> None:
        """See ``SimulatedPolicy``."""
        rng = stream(self.seed, REGIME, 1 + int(prompts[0]) if prompts.size else 0)
        cluster = np.full(prompts.size, self.config.clusters)
        random = _collisions(rng, prompts.size, self.basis, self.config.clusters)
        self.features[prompts] = self._shared_features(random, cluster, self.slope[prompts])
        # at exactly these rates for the policy as it is now
        now = self.features[prompts] @ self.theta - self.damage
        self.difficulty[prompts] = now - logit(rates)

    def changing(self) -> dict[str, Any]:
        """See ``SimulatedPolicy``."""
        changing = super().changing() | {"difficulty": self.difficulty}
        if self.config.regime_step is not None:
            changing["features"] = self.features
        return changing
