"""What a group of rollouts does to its prompt's logit, and how groups count in the loss."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from cobasim.updates import (
    UPDATES,
    baseline_update,
    expected_group_update,
    group_update,
    group_weights,
    join_groups,
    mixed_chance,
)


@given(st.integers(2, 60), st.data())
def test_group_update_is_the_policy_gradient_of_its_advantages(size, data):
    """mean_j A_j (r_j - p) for each kind of advantage, whatever p is."""
    passes = data.draw(st.integers(0, size))
    p = data.draw(st.floats(0.01, 0.99))
    rewards = np.array([1.0] * passes + [0.0] * (size - passes))
    centred = rewards - rewards.mean()
    spread = rewards.std()
    advantages = {
        "grpo": centred / spread if spread > 0 else 0 * centred,
        "dr-grpo": centred,
        "rloo": np.array([r - (rewards.sum() - r) / (size - 1) for r in rewards], dtype=float),
    }
    for kind in UPDATES:
        update, square = group_update(np.array([passes]), np.array([size]), kind)
        assert update[0] == pytest.approx(np.mean(advantages[kind] * (rewards - p)), abs=1e-12)
        assert square[0] == pytest.approx(np.mean(advantages[kind] ** 2), abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("dr-grpo", lambda n, p: (n - 1) / n * p * (1 - p)),
        ("rloo", lambda n, p: p * (1 - p)),
    ],
)
def test_expected_update_has_its_closed_form(kind, expected):
    """E[update] = (N-1)/N grad p (Dr.GRPO) and grad p (RLOO), with grad p = p (1-p)."""
    rng = np.random.default_rng(0)
    for n, p in ((2, 0.3), (8, 0.1), (16, 0.6)):
        passes = rng.binomial(n, p, 200_000)
        update, _ = group_update(passes, np.full(passes.shape, n), kind)
        error = update.std() / np.sqrt(update.size)
        assert abs(update.mean() - expected(n, p)) < 5 * error


def test_weights_sum_to_one_and_mean_what_they_say():
    budgets = np.array([2, 6, 8])
    np.testing.assert_allclose(group_weights(budgets, "rollout"), [2 / 16, 6 / 16, 8 / 16])
    np.testing.assert_allclose(group_weights(budgets, "prompt"), [1 / 3] * 3)


laws = settings(max_examples=60, deadline=None)


@laws
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.floats(0, 1)), min_size=1))
def test_the_groups_own_mean_as_baseline_is_dr_grpo(rows):
    passes, failures = (np.array([row[k] for row in rows]) for k in range(2))
    budgets, rate = passes + failures, np.array([row[2] for row in rows])
    mean = passes / np.maximum(budgets, 1)
    for found, wanted in zip(
        baseline_update(passes, budgets, mean, rate),
        group_update(passes, budgets, "dr-grpo"),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_joined_groups_keep_the_order_of_first_appearance():
    one = (np.array([7, 2]), np.array([3, 4]), np.array([1, 0]))
    other = (np.array([9, 2]), np.array([5, 1]), np.array([5, 1]))
    assert [part.tolist() for part in join_groups(one, other)] == [[7, 2, 9], [3, 5, 5], [1, 1, 5]]


@given(
    st.sampled_from(UPDATES),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40)), min_size=1, max_size=12),
)
def test_expected_update_is_the_mean_over_the_binomial(kind, pairs):
    p, n = (np.array(column) for column in zip(*pairs, strict=True))
    found = expected_group_update(p, n.astype(int), kind)
    for rate, size, value in zip(p, n, found, strict=True):
        passes = np.arange(size + 1)
        moves, _ = group_update(passes, np.full(size + 1, size), kind)
        chances = special.comb(size, passes) * rate**passes * (1 - rate) ** (size - passes)
        assert value == pytest.approx(chances @ moves, abs=1e-9)


@given(st.floats(0, 1), st.integers(0, 300))
def test_the_chance_of_a_mixed_group_is_exact(rate, size):
    p = Fraction(rate)
    exact = 1 - p**size - (1 - p) ** size if size else Fraction(0)
    (chance,) = mixed_chance(np.array([rate]), np.array([size]))
    assert chance == pytest.approx(float(exact), rel=1e-12, abs=0)
    if rate in (0, 1) or size <= 1:
        assert chance == 0


def test_the_chance_of_a_mixed_group_does_not_cancel_for_rare_passes():
    rates = np.array([0.0, 1e-300, 1e-20, 1e-9, 0.5, 1.0])
    chances = mixed_chance(rates, 2)
    np.testing.assert_allclose(chances, 2 * rates * (1 - rates), rtol=1e-15)
