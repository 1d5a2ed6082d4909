"""Rollouts dealt to ranks: balanced, none twice; and what needs torchrun."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobatrain import parallel as ranks
from cobatrain.parallel import balance, first_rollouts, replicate, shard


@settings(deadline=None)
@given(budgets=st.lists(st.integers(0, 40), max_size=30), world=st.integers(1, 9))
def test_rollouts_are_balanced_whatever_the_budgets(budgets, world):
    counts = balance(np.array(budgets, dtype=int), world)
    assert counts.shape == (world, len(budgets))
    assert (counts >= 0).all()
    assert counts.sum(axis=0).tolist() == budgets
    per_rank = counts.sum(axis=1)
    assert per_rank.max() - per_rank.min() <= 1
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()  # of every prompt, too


@settings(deadline=None)
@given(budgets=st.lists(st.integers(0, 12), min_size=1, max_size=9), world=st.integers(1, 5))
def test_no_two_ranks_make_the_same_rollout(budgets, world):
    counts = balance(budgets, world)
    first = first_rollouts(counts)
    for i, budget in enumerate(budgets):
        made = [j for r in range(world) for j in range(first[r, i], first[r, i] + counts[r, i])]
        assert made == list(range(budget))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: balance([1, 2], 0), "ranks must be at least 1"),
        (lambda: balance([1, -2], 2), "whole numbers"),
        (lambda: balance([1.5, 2], 2), "whole numbers"),
        (lambda: replicate(torch.nn.Linear(1, 1)), "torchrun"),
        (lambda: shard(torch.nn.Linear(1, 1)), "torchrun"),
    ],
)
def test_bad_input_says_what_to_do(call, match):
    with pytest.raises(InputError, match=match):
        call()


def test_start_outside_torchrun_says_so(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="torchrun"):
        ranks.start("cpu")
