"""The directions that noisy vectors really share, told from those in which their noise lies.

Of each of n vectors phi_i two independent halves are known, x_i +- d_i: the mean x_i has the noise
e_i, and half the difference d_i is noise of the same distribution. So with weights a_i

    S = sum a_i x_i x_i^T - sum a_i d_i d_i^T

has the mean sum a_i phi_i phi_i^T, along every direction. Without a signal, x and d can be
exchanged, and the eigenvalues of S lie around 0 symmetrically: as far above as below. So an
eigenvalue is believed only above ``edge``: minus the smallest one, times 1 + 2 n^(-2/3) for the
chance in both ends. It counts as sqrt(value^2 - edge^2), which is optimal for noise of Wigner's
law. What is not believed is left to each vector's own part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray, RealArray


@dataclass(frozen=True, eq=False)
class Directions:
    """r directions that vectors share, the first of them that of their mean.

    Attributes:
        vectors: (r, D) orthonormal; rows of 0 where there are fewer than were asked for.
        keep: (r,) by which the vectors' deviations from their mean are to be multiplied along each
            direction: their mean square is then that of the signal. From 0 to 1.
    """

    vectors: RealArray
    keep: FloatArray


def shared_directions(
    means: RealArray, differences: RealArray, weights: FloatArray, rank: int
) -> Directions:
    """The directions of n vectors of which two halves are known.

    Args:
        means: (n, D) mean of each vector's halves.
        differences: (n, D) half their difference.
        weights: (n,) positive: the more, the less noise a vector has.
        rank: r.
    """
    dim = means.shape[1]
    roots = np.sqrt(weights)[:, None].astype(np.float32)
    unit = roots / np.linalg.norm(roots)
    signal, noise = roots * means, roots * differences
    middle = (unit * signal).sum(axis=0)
    middle /= max(float(np.linalg.norm(middle)), 1e-30)
    signal, noise = (part - unit * (unit * part).sum(axis=0) for part in (signal, noise))
    along = [(part @ middle).astype(np.float64) for part in (signal, noise)]
    signal, noise = (
        part - np.outer(on, middle).astype(np.float32)
        for part, on in zip((signal, noise), along, strict=True)
    )
    values, vectors = _difference_of_squares(signal, noise, rank)
    edge = max(-float(values.min(initial=0.0)), 0.0) * (1.0 + 2.0 * len(means) ** (-2 / 3))
    chosen = np.argsort(-values)[: rank - 1]
    chosen = chosen[values[chosen] > edge]
    found = np.zeros((rank, dim), dtype=np.float32)
    found[0], found[1 : 1 + chosen.size] = middle, vectors[chosen]
    believed = np.zeros(rank)
    believed[0] = _believed(along[0] @ along[0] - along[1] @ along[1], edge)
    believed[1 : 1 + chosen.size] = _believed(values[chosen], edge)
    total = np.square(signal @ found.T, dtype=np.float64).sum(axis=0)
    total[0] = along[0] @ along[0]
    keep = np.sqrt(np.divide(believed, total, out=np.zeros(rank), where=total > 0.0))
    return Directions(found, np.minimum(keep, 1.0))


def _believed(values: FloatArray | float, edge: float) -> FloatArray:
    values = np.maximum(values, 0.0)
    return np.asarray(np.sqrt(np.maximum(values * values - edge * edge, 0.0)))


def _difference_of_squares(
    signal: RealArray, noise: RealArray, rank: int
) -> tuple[FloatArray, RealArray]:
    """Eigenvalues (k,) and eigenvectors (k, D) of X^T X - N^T N: the ``rank`` largest, and the
    smallest one.

    All of them lie in the space of the rows of both, so two small problems give them.
    """
    from scipy.linalg import eigh

    rows = np.concatenate([signal, noise])
    signs = np.concatenate([np.ones(len(signal)), -np.ones(len(noise))])
    squares, columns = eigh((rows @ rows.T).astype(np.float64))
    kept = squares > max(float(squares[-1]), 0.0) * 1e-6  # below it, rounding of single precision
    squares, columns = squares[kept], columns[:, kept]
    if squares.size == 0:
        return np.zeros(0), np.zeros((0, rows.shape[1]), dtype=np.float32)
    lengths = np.sqrt(squares)
    small = (columns * lengths).T @ (signs[:, None] * columns) * lengths
    size, top = lengths.size, min(rank, lengths.size)
    values, turns = eigh(small, subset_by_index=[size - top, size - 1])
    if top < size:
        lowest, turn = eigh(small, subset_by_index=[0, 0])
        values, turns = np.concatenate([lowest, values]), np.hstack([turn, turns])
    basis = (columns / lengths @ turns).T.astype(np.float32)
    return values, np.asarray(basis @ rows)
