"""Dealing passes and failures to two halves, and what their weights add up to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from cobasim.errors import InputError
from cobatrain.gradients.per_prompt import only_parameters, trained_parameters
from cobatrain.gradients.prompt_rollouts import PromptRollouts
from cobatrain.gradients.rollout_features import difference, evidence, split

outcomes = st.tuples(st.integers(2, 20), st.integers(2, 20), st.integers(0, 10**6))


@given(outcomes)
def test_halves_share_passes_and_failures_evenly(case):
    passes, failures, seed = case
    rng = np.random.default_rng(seed)
    success = rng.permutation(np.arange(passes + failures) < passes)
    first, second = split(success, rng)
    assert sorted([*first, *second]) == list(range(success.size))
    assert abs(int(success[first].sum()) - int(success[second].sum())) <= 1
    assert abs(first.size - second.size) <= 1 or passes % 2 == failures % 2 == 1
    for half in (first, second):
        weights = difference(success[half])
        assert weights[success[half]].sum() == pytest.approx(1.0)
        assert weights[~success[half]].sum() == pytest.approx(-1.0)
    # at best, the variance of a difference of two means
    assert evidence(success, (first, second)) <= 1 / (1 / passes + 1 / failures) + 1e-9


def test_the_difference_of_means_has_no_bias_whatever_the_rate_is():
    """Responses of a softmax over 6 tokens, three of which pass: the gradient is known."""
    rng = np.random.default_rng(0)
    for logits in ([0.0] * 6, [2.0, 0.0, -1.0, 1.5, 2.0, 0.3]):
        chance = np.exp(logits) / np.exp(logits).sum()
        good = np.array([True, False, False, True, False, True])
        rate = chance[good].sum()
        true = chance * (good - rate) / (rate * (1 - rate))
        found, products = [], []
        for _ in range(4000):
            drawn = rng.choice(6, 9, p=chance)
            success = good[drawn]
            if min(success.sum(), (~success).sum()) < 2:
                continue
            scores = np.eye(6)[drawn] - chance
            halves = [difference(success[half]) @ scores[half] for half in split(success, rng)]
            found.append((halves[0] + halves[1]) / 2)
            products.append(halves[0] @ halves[1])
        assert len(found) > 1000
        error = np.std(found, axis=0) / np.sqrt(len(found))
        assert (np.abs(np.mean(found, axis=0) - true) < 5 * error).all()
        assert abs(np.mean(products) - true @ true) < 5 * np.std(products) / np.sqrt(len(found))


def test_rates_are_shrunk_and_the_unmeasured_counted():
    rollouts = PromptRollouts(8, np.array([0, 1, 2, 4, 7, 8]), [], [])
    np.testing.assert_allclose(rollouts.rates, np.array([0.5, 1.5, 2.5, 4.5, 7.5, 8.5]) / 9)
    np.testing.assert_array_equal(rollouts.measurable, [False, False, True, True, False, False])
    account = rollouts.account()
    assert account["prompts that never passed"] == account["prompts that never failed"] == 1
    assert account["prompts without two passes and two failures"] == 4
    with pytest.raises(InputError, match=r"only 2 of 6 prompts.*give more --rollouts"):
        rollouts.check()


def test_only_some_parameters_are_trained_within_the_block():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    model[1].bias.requires_grad_(False)
    with only_parameters(model, r"^1\."):
        assert [p.shape for p in trained_parameters(model)] == [(1, 3)]
    with only_parameters(model, None):
        assert len(trained_parameters(model)) == 3
    assert len(trained_parameters(model)) == 3
    for expression, words in (("bias$x", "found in no name"), ("[", "no regular expression")):
        with pytest.raises(InputError, match=words), only_parameters(model, expression):
            pass
    model.requires_grad_(False)
    with pytest.raises(InputError, match="all are frozen"), only_parameters(model, None):
        pass
