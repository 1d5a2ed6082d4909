"""Features of prompts that are known by two noisy halves each, without what the noise adds.

Halves phi_i', phi_i'' of prompt i are independent and without bias. Their mean x_i has noise: it
leaves the inner products of different prompts without bias, and makes squared lengths too large.
What is stored is therefore

    c_i = h m + keep * (coordinates of x_i - m),   own_i^2 = phi_i'. phi_i'' - |c_i|^2

with m the mean of the coordinates, all means with weights a_i (the less noise, the more):

- ``keep`` makes the mean square along each shared direction that of the signal (``Directions``);
- h makes the mean inner product of two different prompts, with weights a_i a_j, exactly that of the
  x_i in all their dimensions, which has no bias;
- phi_i'. phi_i'' has the mean |phi_i|^2. Single ones may fall below |c_i|^2; own_i is then 0, and
  the others are scaled so that the mean squared length, with weights a_i, is that of all products.

A prompt without halves is given the mean of the measured prompts of its level (of all, if there are
fewer than 8), scaled so that its mean inner product with them is that of two different ones of
them; and a part of its own. Its squared length is the mean of the quarter of all measured prompts
whose pass rates are nearest (8 at least); if that is below its level's, its mean is made shorter in
proportion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray, RealArray
from cobasim.errors import InputError
from cobasim.gradients.directions import Directions, shared_directions

FEWEST = 8  # prompts of which a mean is taken


@dataclass(eq=False)
class Pairs:
    """The mean inner product of different vectors of many, which are not kept.

    Each pair has the product of its vectors' weights.
    """

    total: FloatArray
    weight: float = 0.0
    squares: float = 0.0
    weight_squares: float = 0.0
    count: int = 0

    def add(self, vector: RealArray, weight: float) -> None:
        """One more vector (D,)."""
        wide = vector.astype(np.float64)
        self.total += weight * wide
        self.weight += weight
        self.squares += weight**2 * float(wide @ wide)
        self.weight_squares += weight**2
        self.count += 1

    @property
    def sum(self) -> float:
        """Sum of a_i a_j x_i . x_j over i != j."""
        return float(self.total @ self.total) - self.squares

    @property
    def mean(self) -> float:
        """Mean of x_i . x_j over i != j; needs two vectors."""
        return self.sum / (self.weight**2 - self.weight_squares)


@dataclass(frozen=True)
class Measured:
    """What is known of a measured prompt beside its halves.

    Attributes:
        level: its name.
        rate: pass rate.
        weight: positive: the more, the less noise its halves have.
        product: inner product of the halves, better than from their sketches.
    """

    level: str
    rate: float
    weight: float
    product: float


@dataclass(frozen=True, eq=False)
class CleanFeatures:
    """Features of N prompts without what noise added.

    Attributes:
        coordinates: (N, r) along directions that prompts share.
        own: (N,) along one that no other prompt has.
        directions: (r, D) orthonormal; rows of 0 beyond those that stand out of the noise.
    """

    coordinates: FloatArray
    own: FloatArray
    directions: RealArray
    _rates: FloatArray
    _weights: FloatArray
    _products: FloatArray
    _typical: dict[str | None, tuple[FloatArray, float]]

    def typical(self, level: str, rate: float) -> tuple[FloatArray, float]:
        """Coordinates (r,) and own part of a prompt of that level and rate, not measured."""
        middle, usual = self._typical.get(level, self._typical[None])
        count = max(FEWEST, self._rates.size // 4)
        near = np.argsort(np.abs(self._rates - rate), kind="stable")[:count]
        whole = max(_mean(self._products[near], self._weights[near]), 0.0)
        shorter = min(1.0, whole / usual) if usual > 0.0 else 0.0
        middle = np.asarray(shorter * middle)
        return middle, float(np.sqrt(max(whole - float(middle @ middle), 0.0)))


class NoisyFeatures:
    """Prompts are added one by one, in random order; the first ``most`` give the directions.

    Args:
        dim: D, of the vectors.
        rank: r.
        most: at least 2; two vectors of each of these prompts are kept until then.
    """

    def __init__(self, dim: int, rank: int, most: int) -> None:
        self._dim, self._rank, self._most = dim, rank, most
        self._measured: list[Measured] = []
        self._coordinates: list[RealArray] = []
        self._waiting: list[tuple[RealArray, RealArray]] = []
        self._pairs: dict[str | None, Pairs] = {}
        self._found: Directions | None = None

    def add(self, first: RealArray, second: RealArray, measured: Measured) -> None:
        """One prompt by its halves (D,). Raises InputError for numbers that are not finite."""
        mean, difference = (first + second) / 2, (first - second) / 2
        if not np.isfinite(float(mean.sum()) + float(difference.sum()) + measured.product):
            raise InputError("features hold NaN or infinity: the model diverged")
        self._measured.append(measured)
        for name in (None, measured.level):
            if name not in self._pairs:
                self._pairs[name] = Pairs(np.zeros(self._dim))
            self._pairs[name].add(mean, measured.weight)
        if self._found is not None:
            self._coordinates.append(self._found.vectors @ mean)
            return
        self._waiting.append((mean, difference))
        if len(self._waiting) >= self._most:
            self._find()

    def finish(self) -> CleanFeatures:
        """The features of all that were added, in that order.

        Raises InputError if they are fewer than 8.
        """
        count = len(self._measured)
        if count < FEWEST:
            raise InputError(f"{count} prompts have features: at least {FEWEST} are needed")
        found = self._find() if self._found is None else self._found
        weights, rates, products = (
            np.array([getattr(one, name) for one in self._measured])
            for name in ("weight", "rate", "product")
        )
        coordinates = np.stack(self._coordinates).astype(np.float64)
        coordinates = self._scaled(coordinates, weights, found.keep)
        left = products - (coordinates * coordinates).sum(axis=1)
        own = np.maximum(left, 0.0)
        own *= max(float(weights @ left), 0.0) / max(float(weights @ own), 1e-300)
        levels = np.array([one.level for one in self._measured])
        typical: dict[str | None, tuple[FloatArray, float]] = {}
        for name, pairs in self._pairs.items():
            some = slice(None) if name is None else np.flatnonzero(levels == name)
            if pairs.count >= FEWEST:
                shared = _shared(pairs, coordinates[some], weights[some])
                typical[name] = shared, _mean(products[some], weights[some])
        return CleanFeatures(
            coordinates, np.sqrt(own), found.vectors, rates, weights, products, typical
        )

    def _find(self) -> Directions:
        means, differences = (np.stack(part) for part in zip(*self._waiting, strict=True))
        weights = np.array([one.weight for one in self._measured])
        self._found = shared_directions(means, differences, weights, self._rank)
        self._coordinates, self._waiting = list(means @ self._found.vectors.T), []
        return self._found

    def _scaled(self, coordinates: FloatArray, weights: FloatArray, keep: FloatArray) -> FloatArray:
        """h m + keep * (x - m): the quadratic equation of the mean inner product gives h >= 0."""
        middle = weights @ coordinates / weights.sum()
        deviation = keep * (coordinates - middle)
        squares = weights**2
        a = (weights.sum() ** 2 - squares.sum()) * float(middle @ middle)
        b = -2.0 * float(middle @ (squares @ deviation))
        c = -float(squares @ (deviation * deviation).sum(axis=1)) - self._pairs[None].sum
        if a <= 0.0 or c >= 0.0:  # prompts that share less than nothing
            return np.asarray(deviation)
        return np.asarray((np.sqrt(b * b - 4.0 * a * c) - b) / (2.0 * a) * middle + deviation)


def _shared(pairs: Pairs, coordinates: FloatArray, weights: FloatArray) -> FloatArray:
    """The mean (r,) of prompts, shortened to their mean inner product with each other."""
    middle = weights @ coordinates / weights.sum()
    square = max(float(middle @ middle), 1e-300)
    return np.asarray(min(max(pairs.mean / square, 0.0), 1.0) * middle)


def _mean(values: FloatArray, weights: FloatArray) -> float:
    return float(weights @ values / weights.sum())
