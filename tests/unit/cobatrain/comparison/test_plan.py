"""Plans of comparisons of real runs."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.errors import InputError
from cobatrain.comparison import Plan
from cobatrain.config import load_config
from cobatrain.update import token_weights


def runs(weightings, *settings):
    return set(Plan(load_config("tiny", settings), ("uniform", "coba"), weightings, (0,)).runs())


def test_uniform_runs_once_only_where_weightings_cannot_differ():
    both = ("rollout", "prompt")
    coba = {(weighting, "coba", 0) for weighting in both}
    assert runs(both) == coba | {("rollout", "uniform", 0)}
    assert runs(both[::-1]) == coba | {("prompt", "uniform", 0)}
    # 500 rollouts over 64 prompts: groups of 7 and 8
    uneven = {(weighting, "uniform", 0) for weighting in both}
    assert runs(both, "loop.total_budget=500") == coba | uneven
    assert runs(both, "loop.token_budget=4000") == coba | uneven
    # per token, long responses weigh more
    token = {("token", name, 0) for name in ("uniform", "coba")}
    assert runs((*both, "token")) == coba | {("rollout", "uniform", 0)} | token


def test_groups_of_one_size_weigh_the_same_per_rollout_and_per_prompt():
    lengths = np.array([3, 1, 4, 1, 5, 9])
    even, uneven = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 1, 2, 2])
    for group, alike in ((even, True), (uneven, False)):
        one, other = (token_weights(group, lengths, name) for name in ("rollout", "prompt"))
        assert np.allclose(one, other) == alike
    assert not np.allclose(*(token_weights(even, lengths, name) for name in ("rollout", "token")))


@pytest.mark.parametrize(
    ("allocators", "weightings"),
    [((), ("rollout",)), (("coba",), ()), (("coba", "coba"), ("rollout",))],
)
def test_comparisons_of_nothing_are_refused(allocators, weightings):
    with pytest.raises(InputError, match=r"at least one|twice"):
        Plan(load_config("tiny"), allocators, weightings, (0,))
