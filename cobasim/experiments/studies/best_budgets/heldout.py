"""Held-out accuracy as a function of the shared parameters: its gradient and its curvature."""

from __future__ import annotations

from typing import Any

import numpy as np

from cobasim.arrays import FloatArray, IntArray, RealArray
from cobasim.world import MeasuredPolicy


class Heldout:
    """The mean pass rate of held-out prompts of a measured policy, around where it is now.

    log p = - sum over tokens of log(1 + sum_v exp a_v) with log-odds a_v that are linear in the
    parameters, so both derivatives are exact. Own parameters do not reach held-out prompts; those
    of prompts of the pool stay where they are.

    Args:
        policy: read only; the values are those of this moment.
        rows: (n,) of the world's table; None: all of its held-out prompts.
    """

    def __init__(self, policy: MeasuredPolicy, rows: IntArray | None = None) -> None:
        if rows is None:
            part = policy.sets["heldout"]
            rows = np.arange(part.start, part.stop)
        self.size = rows.size
        chosen, self.answers = policy.answers.take(rows)
        self.features: RealArray = policy.features.take(chosen, axis=0)  # (N, r)
        self.odds = policy.odds[chosen] + self.features @ policy.theta.astype(np.float32)
        own = np.zeros(policy.rows.size)
        own[: policy.num_prompts] = policy.own
        self.odds += policy.own_slope[chosen] * np.repeat(own[rows], self.answers.count)
        self.rate, weights = self.answers.rates(self.odds)
        counts, size = self.answers.count, chosen.size
        # (N,) chance of each alternative at its position, and the pass rate of its prompt
        self._chance = -weights * np.repeat(np.maximum(1.0 - self.rate, 1e-12), counts)
        self._rate = np.repeat(self.rate, counts)
        self._heads = np.flatnonzero(self.answers.first)
        # sums over the alternatives of each prompt, and of each token
        self._prompts, self._tokens = _sums(self.answers.start, size), _sums(self._heads, size)

    @property
    def accuracy(self) -> float:
        """The mean pass rate."""
        return float(self.rate.mean())

    def gradient(self) -> FloatArray:
        """(r,) of the mean pass rate."""
        pull = (self._rate * self._chance / -self.size).astype(np.float32)
        return np.asarray(pull @ self.features, dtype=np.float64)

    def curvature(self, directions: FloatArray) -> FloatArray:
        """(k, k) second derivatives of the mean pass rate along directions (k, r)."""
        along = (self.features @ directions.T.astype(np.float32)).astype(np.float64)  # (N, k)
        pull = self._chance[:, None] * along
        whole, token = self._prompts @ pull, self._tokens @ pull
        total = whole.T @ (self.rate[:, None] * whole)
        total += token.T @ (self._rate[self._heads][:, None] * token)
        total -= along.T @ (self._rate[:, None] * pull)
        return np.asarray(total / self.size)

    def trace(self, variance: FloatArray) -> float:
        """Sum over the r coordinates of ``variance`` (r,) times the second derivative."""
        scaled = self.features * np.sqrt(variance).astype(np.float32)
        pull = self._chance.astype(np.float32)[:, None] * scaled
        whole, token = self._prompts @ pull, self._tokens @ pull
        total = self.rate @ _dots(whole, whole)
        total += self._rate[self._heads] @ _dots(token, token)
        total -= self._rate @ _dots(pull, scaled)
        return float(total / self.size)

    def moved(self, steps: FloatArray) -> FloatArray:
        """Mean pass rates (k,) after each of the steps (k, r) of the shared parameters."""
        shifts = self.features @ steps.T.astype(np.float32)  # (N, k)
        return np.array([self.answers.rates(self.odds + shift)[0].mean() for shift in shifts.T])


def _sums(first: IntArray, size: int) -> Any:
    """A sparse matrix (k, N) that sums the rows from each of ``first`` (k,) to the next."""
    from scipy import sparse

    ones = np.ones(size, dtype=np.float32)
    return sparse.csr_matrix((ones, np.arange(size), np.append(first, size)))


def _dots(a: RealArray, b: RealArray) -> FloatArray:
    """(n,) inner products of the rows of two arrays (n, r)."""
    return np.asarray(np.einsum("ij,ij->i", a, b), dtype=np.float64)
