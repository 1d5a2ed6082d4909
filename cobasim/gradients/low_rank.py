"""Features of many numbers as few, and what each keeps for itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray, RealArray
from cobasim.errors import InputError


@dataclass(frozen=True, eq=False)
class LowRank:
    """n vectors as coordinates in r shared directions, and a remainder that each has alone.

    <x_i, x_j> is coordinates_i . coordinates_j for i != j, and |x_i|^2 is |coordinates_i|^2 +
    rest_i^2. The directions are those of largest variance, so no other r keep more.

    Attributes:
        coordinates: (n, r).
        rest: (n,) length of the remainder.
        directions: (r, D) orthonormal, in the space of the given vectors.
    """

    coordinates: FloatArray
    rest: FloatArray
    directions: FloatArray


def compress(vectors: RealArray, rank: int, squares: FloatArray | None = None) -> LowRank:
    """The best ``rank`` directions of vectors (n, D), by the eigenvectors of their Gram matrix.

    Args:
        vectors: such as sketches of gradients.
        rank: r, at most n.
        squares: (n,) squared lengths, if they are known better than from ``vectors``.

    Raises InputError if rank is below 1 or vectors are not finite.
    """
    from scipy.linalg import eigh

    if rank < 1:
        raise InputError(f"the rank of features must be at least 1, got {rank}")
    if not np.isfinite(vectors).all():
        raise InputError("features hold NaN or infinity: measure them again")
    size = vectors.shape[0]
    rank = min(rank, size)
    gram = (vectors @ vectors.T).astype(np.float64)
    values, columns = eigh(gram, subset_by_index=[size - rank, size - 1])
    values, columns = values[::-1], columns[:, ::-1]
    kept = values > values[0] * 1e-12 if values[0] > 0.0 else np.zeros(rank, dtype=np.bool_)
    values, columns = values[kept], columns[:, kept]
    roots = np.sqrt(values)
    coordinates = columns * roots
    directions = (columns / roots).T @ vectors
    lengths = np.diag(gram) if squares is None else squares
    rest = np.sqrt(np.maximum(lengths - (coordinates * coordinates).sum(axis=1), 0.0))
    return LowRank(coordinates, rest, np.asarray(directions, dtype=np.float64))


def folded(vectors: RealArray, dim: int, seed: int) -> RealArray:
    """Vectors (n, D) as (n, dim), by random signs and sums of D / dim numbers each.

    Inner products keep their value on average; their error is |x| |y| / sqrt(dim). Raises
    InputError unless dim divides D.
    """
    size = vectors.shape[-1]
    if dim < 1 or size % dim:
        raise InputError(f"{dim} numbers do not divide the {size} of a sketch")
    signs = np.random.default_rng([seed, 5]).integers(0, 2, size) * 2 - 1
    signed = vectors * signs.astype(vectors.dtype)
    return np.asarray(signed.reshape(*vectors.shape[:-1], size // dim, dim).sum(axis=-2))
