"""Scores of an evaluation: accuracy, pass at k, levels."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobatrain.evaluation import pass_at_k, summarise


@given(st.integers(1, 7), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_success(samples, data):
    correct = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    subsets = list(combinations([1] * correct + [0] * (samples - correct), k))
    expected = np.mean([any(subset) for subset in subsets])
    assert pass_at_k(samples, np.array([correct]), k)[0] == pytest.approx(expected)


def test_evaluation_scores():
    rewards = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=float)
    scores = summarise(rewards, ["a", "b", "a"], at=(2,))
    assert scores["accuracy"] == pytest.approx(0.5)
    assert scores["low"] < 0.5 < scores["high"]
    assert scores["pass_at"] == pytest.approx({"1": 0.5, "2": (5 / 6 + 0 + 1) / 3, "4": 2 / 3})
    assert scores["levels"] == pytest.approx({"a": 0.75, "b": 0.0})


def test_the_interval_of_rewards_that_are_no_shares_has_no_bounds():
    shares, others = (
        summarise(np.array([[0.0], [value]]), ["a", "a"])["low"] for value in (0.1, -0.1)
    )
    assert shares >= 0
    assert others < -0.1
