"""Features of which two noisy halves are known: what is stored has no more than there is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobasim.gradients import CleanFeatures, Measured, NoisyFeatures
from cobasim.gradients.directions import shared_directions
from cobasim.gradients.noisy import Pairs

DIM = 1500


@dataclass
class Case:
    """True features (n, D), the halves, weights, and what was stored."""

    true: np.ndarray
    halves: np.ndarray
    weights: np.ndarray
    clean: CleanFeatures

    def pair(self, gram: np.ndarray) -> float:
        """Weighted mean inner product of different prompts."""
        both = np.outer(self.weights, self.weights)
        np.fill_diagonal(both, 0.0)
        return float((both * gram).sum() / both.sum())

    def length(self, squares: np.ndarray) -> float:
        return float(self.weights @ squares / self.weights.sum())

    @property
    def stored(self) -> np.ndarray:
        return self.clean.coordinates @ self.clean.coordinates.T


def made(seed: int, *, size=200, noise=4000.0, shared=100.0, spread=1000.0, rank=40, most=100,
         dim=DIM) -> Case:  # fmt: skip
    """A mean, four directions that prompts share, a part of their own; noise lies in few
    directions, and is the same for no two prompts."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((dim, 25)))[0].T
    true = np.sqrt(shared) * basis[0] + rng.standard_normal((size, 4)) @ basis[1:5] * np.sqrt(
        spread / 4
    )
    true += rng.standard_normal((size, dim)) * np.sqrt(500.0 / dim)
    weights = rng.uniform(0.3, 1.0, size)
    along = rng.standard_normal((2, size, 20)) @ basis[5:] * np.sqrt(0.5 * noise / 20)
    around = rng.standard_normal((2, size, dim)) * np.sqrt(0.5 * noise / dim)
    halves = true + (along + around) / np.sqrt(weights)[:, None]
    halves = halves.astype(np.float32)
    features = NoisyFeatures(dim, rank, most)
    for i in range(size):
        product = float(halves[0, i] @ halves[1, i])
        features.add(*halves[:, i], Measured("ab"[i % 2], i / size, weights[i], product))
    return Case(true, halves, weights, features.finish())


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([20, 100, 200]))
def test_the_mean_inner_product_of_different_prompts_is_exactly_that_of_the_means(seed, most):
    case = made(seed, most=most, dim=300, size=60, shared=400.0, spread=300.0)
    mean = case.halves.mean(axis=0).astype(np.float64)
    assert case.pair(case.stored) == pytest.approx(case.pair(mean @ mean.T), rel=1e-3, abs=0.5)


def test_mean_inner_products_and_squared_lengths_are_right_on_average():
    """Against the true features; the noise is 8 times as long as what is measured."""
    cases = [made(seed, noise=12_000.0) for seed in range(12)]
    truth = np.array([(c.pair(c.true @ c.true.T), c.length((c.true**2).sum(1))) for c in cases])
    found = np.array(
        [
            (c.pair(c.stored), c.length(np.diag(c.stored) + c.clean.own**2))
            for c in cases
        ]
    )  # fmt: skip
    difference = found - truth
    error = difference.std(axis=0, ddof=1) / np.sqrt(len(cases))
    assert (np.abs(difference.mean(axis=0)) < 4 * error).all()
    assert (error < 0.05 * truth.mean(axis=0) + [8.0, 0.0]).all()
    naive = [c.length((c.halves.mean(axis=0) ** 2).sum(axis=1)) for c in cases]
    assert min(naive) > 4 * truth[:, 1].mean()


def test_what_prompts_share_is_not_made_larger_by_noise():
    """Mean square of the inner products of different prompts: never above the true one."""
    off = ~np.eye(200, dtype=np.bool_)
    for seed in range(4):
        for noise in (1000.0, 12_000.0):
            case = made(seed, noise=noise)
            true = case.true @ case.true.T
            assert (case.stored[off] ** 2).mean() < 1.1 * (true[off] ** 2).mean()
        nothing = made(seed, shared=0.0, spread=0.0, noise=12_000.0)
        mean = nothing.halves.mean(axis=0)
        assert np.abs(nothing.stored[off]).mean() < 0.1 * np.abs((mean @ mean.T)[off]).mean()


def test_without_noise_everything_is_kept():
    case = made(0, noise=0.0, rank=200, most=200)
    np.testing.assert_allclose(case.stored, case.true @ case.true.T, atol=3.0)
    assert np.square(case.clean.own).mean() < 5.0
    few = made(0, noise=0.0, rank=5)
    directions = few.clean.directions
    np.testing.assert_allclose(directions @ directions.T, np.eye(5), atol=1e-4)
    true = few.true @ few.true.T
    off = ~np.eye(200, dtype=np.bool_)
    assert np.corrcoef(few.stored[off], true[off])[0, 1] > 0.98
    np.testing.assert_allclose(np.diag(few.stored) + few.clean.own**2, np.diag(true), rtol=0.02)


def test_more_noise_means_fewer_directions_and_more_own():
    counts, own = [], []
    for noise in (0.0, 300.0, 3000.0, 30_000.0):
        clean = made(1, noise=noise).clean
        counts.append(int((np.abs(clean.coordinates).sum(axis=0) > 0).sum()))
        own.append(np.square(clean.own).mean())
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 20
    assert 1 <= counts[-1] < 5
    assert own == sorted(own)


def test_a_prompt_without_halves_is_as_long_as_those_of_its_rate_and_shares_their_mean():
    case = made(2, noise=1000.0)
    lengths = np.diag(case.stored) + case.clean.own**2
    for level, mine in (("a", 0), ("b", 1)):
        shared, own = case.clean.typical(level, 0.5)
        assert shared @ shared + own**2 == pytest.approx(case.length(lengths), rel=0.25)
        others = case.clean.coordinates[mine::2]
        weights = case.weights[mine::2]
        inner = float(weights @ (others @ shared) / weights.sum())
        assert inner == pytest.approx(100.0, abs=60.0)
        assert shared @ shared <= inner * (1 + 1e-9)  # two of them share no more
    unknown = case.clean.typical("c", 0.5)
    assert unknown[0] @ unknown[0] > 0


def test_shorter_where_the_nearest_rates_are():
    """Lengths that fall with the rate, as those of a real model do."""
    rng = np.random.default_rng(0)
    features = NoisyFeatures(50, 10, 80)
    rates = np.linspace(0.05, 0.95, 80)
    for rate in rng.permutation(rates):
        vector = (1.0 - rate) * (np.ones(50) + rng.standard_normal(50))
        features.add(vector, vector, Measured("", rate, 1.0, float(vector @ vector)))
    clean = features.finish()
    (easy, easy_own), (hard, hard_own) = (clean.typical("", rate) for rate in (0.97, 0.03))
    assert easy @ easy + easy_own**2 < 0.1 * (hard @ hard + hard_own**2)
    assert easy @ easy < hard @ hard


def test_pairs_are_those_of_all_vectors_at_once():
    rng = np.random.default_rng(0)
    vectors, weights = rng.standard_normal((20, 5)), rng.uniform(0.5, 2.0, 20)
    pairs = Pairs(np.zeros(5))
    for vector, weight in zip(vectors, weights, strict=True):
        pairs.add(vector, weight)
    both = np.outer(weights, weights) * (1 - np.eye(20))
    assert pairs.mean == pytest.approx((both * (vectors @ vectors.T)).sum() / both.sum())


def test_directions_of_noise_alone_are_hardly_kept():
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(10):
        means, differences = rng.standard_normal((2, 60, 400)).astype(np.float32)
        found = shared_directions(means, differences, np.ones(60), 20)
        assert found.vectors.shape == (20, 400)
        assert ((found.keep >= 0) & (found.keep <= 1)).all()
        kept.append((found.keep[1:] > 0).sum())
    assert np.mean(kept) < 1.0


def test_bad_input():
    features = NoisyFeatures(10, 4, 8)
    with pytest.raises(InputError, match="at least 8"):
        features.finish()
    broken = np.full(10, np.nan)
    with pytest.raises(InputError, match="NaN or infinity"):
        features.add(broken, broken, Measured("", 0.5, 1.0, 1.0))
    for _ in range(8):
        features.add(np.zeros(10), np.zeros(10), Measured("", 0.5, 1.0, 0.0))
    clean = features.finish()
    assert not clean.coordinates.any()
    assert not clean.own.any()
