"""Laws of advantages and weights for groups of unequal size."""

from __future__ import annotations

import itertools
import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

pytest.importorskip("torch", reason="torch is not installed")

from cobasim.errors import InputError
from cobatrain.update import (
    ADVANTAGES,
    WEIGHTINGS,
    UpdateConfig,
    advantages,
    rollout_weights,
    token_weights,
)

LAW = settings(deadline=None, max_examples=60)
KINDS = sorted(ADVANTAGES)
NAMES = sorted(WEIGHTINGS)


@st.composite
def grouped(draw, elements=None, max_n=40):
    """(group, rewards): n rollouts of arbitrary integer names, in any order."""
    n = draw(st.integers(1, max_n))
    names = draw(st.lists(st.integers(-5, 9), min_size=n, max_size=n))
    rewards = draw(
        st.lists(
            st.sampled_from([0.0, 1.0]) if elements is None else elements, min_size=n, max_size=n
        )
    )
    return np.array(names), np.array(rewards)


def slow_advantages(rewards, group, kind):
    """One group and one rollout at a time, with the standard library."""
    result = []
    for reward, name in zip(rewards, group, strict=True):
        same = [r for r, g in zip(rewards, group, strict=True) if g == name]
        if len(set(same)) == 1:
            result.append(0.0)
        elif kind == "grpo":
            result.append((reward - statistics.fmean(same)) / statistics.pstdev(same))
        elif kind == "dr-grpo":
            result.append(reward - statistics.fmean(same))
        else:
            result.append(reward - (math.fsum(same) - reward) / (len(same) - 1))
    return np.array(result)


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(case=grouped(elements=st.integers(-8, 8).map(lambda k: k / 4)))
def test_equals_the_slow_reference(kind, case):
    group, rewards = case
    expected = slow_advantages(rewards, group, kind)
    np.testing.assert_allclose(advantages(rewards, group, kind), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    value=st.floats(-1e6, 1e6),
)
def test_one_outcome_is_exactly_zero_for_any_value(kind, sizes, value):
    group = np.repeat(np.arange(len(sizes)), sizes)
    result = advantages(np.full(len(group), value), group, kind)
    assert (result == 0.0).all()


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(case=grouped(elements=st.floats(-100, 100).map(lambda x: round(x, 6))))
def test_every_group_is_centred(kind, case):
    group, rewards = case
    result = advantages(rewards, group, kind)
    for name in np.unique(group):
        assert abs(result[group == name].sum()) < 1e-8


@LAW
@given(m=st.integers(1, 60), failures=st.integers(1, 60))
def test_binary_grpo_has_its_closed_form(m, failures):
    n = m + failures
    rewards = np.r_[np.ones(m), np.zeros(failures)]
    result = advantages(rewards, np.zeros(n, dtype=int), "grpo")
    np.testing.assert_allclose(result[:m], math.sqrt(failures / m), rtol=1e-12)
    np.testing.assert_allclose(result[m:], -math.sqrt(m / failures), rtol=1e-12)
    # the update of the prompt's logit: score is 1 - p of a success and -p of a failure
    p = 0.3
    update = (result * np.where(rewards == 1, 1 - p, -p)).mean()
    assert update == pytest.approx(math.sqrt(m * failures) / n, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [2, 3, 7, 12])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.85])
def test_expected_update_over_all_outcomes(kind, n, p):
    """E[mean A score] over Binomial(n, p), score = d log pi / d logit."""
    expected = 0.0
    for m in range(n + 1):
        rewards = np.r_[np.ones(m), np.zeros(n - m)]
        score = np.where(rewards == 1, 1 - p, -p)
        chance = math.comb(n, m) * p**m * (1 - p) ** (n - m)
        result = advantages(rewards, np.zeros(n, dtype=int), kind)
        expected += chance * float((result * score).mean())
    theory = {
        "grpo": sum(
            math.comb(n, m) * p**m * (1 - p) ** (n - m) * math.sqrt(m * (n - m)) / n
            for m in range(n + 1)
        ),
        "dr-grpo": (n - 1) / n * p * (1 - p),
        "rloo": p * (1 - p),
    }[kind]
    assert expected == pytest.approx(theory, rel=1e-10)


@LAW
@given(case=grouped(), scale=st.sampled_from([1e-150, 1e-9, 1e-3, 7.0, 1e9, 1e150]))
def test_grpo_does_not_depend_on_the_scale_of_rewards(case, scale):
    group, rewards = case
    np.testing.assert_allclose(
        advantages(rewards * scale, group, "grpo"), advantages(rewards, group, "grpo"), rtol=1e-9
    )


@LAW
@given(case=grouped(elements=st.floats(-9, 9).map(lambda x: round(x, 3))))
def test_the_sample_deviation_divides_by_one_rollout_less(case):
    group, rewards = case
    population = advantages(rewards, group, "grpo", "population")
    np.testing.assert_array_equal(population, advantages(rewards, group))
    sample = advantages(rewards, group, "grpo", "sample")
    sizes = np.array([(group == name).sum() for name in group])
    np.testing.assert_allclose(sample, population * np.sqrt((sizes - 1) / sizes), rtol=1e-12)
    for name in np.unique(group):  # its own definition
        same = rewards[group == name]
        if len(set(same)) > 1:
            expected = (same - same.mean()) / same.std(ddof=1)
            np.testing.assert_allclose(sample[group == name], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(
    case=grouped(elements=st.integers(-8, 8).map(lambda k: k / 4)),
    scale=st.sampled_from([1e-150, 1e-9, 1e-3, 7.0, 1e9, 1e150]),
    shift=st.floats(-100, 100),
)
def test_rewards_may_be_moved_and_stretched(kind, case, scale, shift):
    group, rewards = case
    before = advantages(rewards, group, kind)
    after = advantages((rewards + shift) * scale, group, kind)
    unit = 1.0 if kind == "grpo" else scale
    np.testing.assert_allclose(after / unit, before, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(
    parts=st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=6),
    sign=st.sampled_from([-1.0, 1.0]),
    scale=st.sampled_from([1e-150, 1.0, 1e150]),
    data=st.data(),
)
def test_rewards_that_differ_by_rounding_alone_are_equal(kind, parts, sign, scale, data):
    """Sums of the same parts in other orders, of one sign: nothing cancels."""
    orders = data.draw(st.lists(st.permutations(parts), min_size=2, max_size=8))
    rewards = np.array([sum(order) for order in orders]) * sign * scale
    assert (advantages(rewards, np.zeros(len(rewards), dtype=int), kind) == 0.0).all()


def test_a_config_refuses_a_deviation_that_is_not_used():
    with pytest.raises(ValueError, match="goes with advantage 'grpo', got 'dr-grpo'"):
        UpdateConfig(advantage="dr-grpo", deviation="sample")


def test_a_tenth_and_two_are_three_and_a_small_difference_is_one():
    assert (advantages([0.1 + 0.2, 0.3], [0, 0]) == 0.0).all()
    np.testing.assert_allclose(advantages([0.3 + 1e-6, 0.3], [0, 0]), [1.0, -1.0])


@pytest.mark.parametrize("kind", KINDS)
def test_sums_of_32_bits_in_another_order_are_equal(kind):
    parts = np.array([0.1, 0.2, 0.3, 0.4, 1e-3, 7.7], dtype=np.float32)
    orders = [parts, parts[::-1], np.sort(parts), parts[[3, 1, 5, 0, 2, 4]]]
    rewards = [float(np.cumsum(order)[-1]) for order in orders]
    assert len(set(rewards)) > 1
    assert (advantages(rewards, np.zeros(4, dtype=int), kind) == 0.0).all()


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(case=grouped(), data=st.data())
def test_order_and_names_do_not_matter(kind, case, data):
    group, rewards = case
    order = np.array(data.draw(st.permutations(range(len(group)))))
    result = advantages(rewards, group, kind)
    permuted = advantages(rewards[order], 100 - 3 * group[order], kind)
    np.testing.assert_allclose(permuted, result[order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(rewards=hnp.arrays(np.float64, (5, 6), elements=st.sampled_from([0.0, 1.0])))
def test_equal_groups_are_the_reshaped_formula(kind, rewards):
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    if kind == "grpo":
        std = rewards.std(axis=1, keepdims=True)
        centred = np.divide(centred, std, out=np.zeros_like(centred), where=std > 0)
    elif kind == "rloo":
        centred = centred * 6 / 5
    result = advantages(rewards.ravel(), np.repeat(np.arange(5), 6), kind)
    np.testing.assert_allclose(result, centred.ravel(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weighting", NAMES)
@LAW
@given(case=grouped(), data=st.data())
def test_weights_are_shares(weighting, case, data):
    group, _ = case
    lengths = np.array(
        data.draw(st.lists(st.integers(1, 50), min_size=len(group), max_size=len(group)))
    )
    shares = rollout_weights(group, lengths, weighting)
    tokens = token_weights(group, lengths, weighting)
    assert (shares > 0).all()
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert (tokens * lengths).sum() == pytest.approx(1.0, abs=1e-12)
    # what each weighting holds equal, in exact arithmetic
    names = group.tolist()
    for j, name in enumerate(names):
        exact = {
            "rollout": Fraction(1, len(names)),
            "token": Fraction(int(lengths[j]), int(lengths.sum())),
            "prompt": Fraction(1, len(set(names)) * names.count(name)),
        }[weighting]
        assert shares[j] == pytest.approx(float(exact), rel=1e-12)


@LAW
@given(case=grouped(), data=st.data())
def test_equal_groups_of_equal_lengths_make_all_weightings_one(case, data):
    m, g, length = (data.draw(st.integers(1, 6)) for _ in range(3))
    group = np.repeat(np.arange(m), g)
    lengths = np.full(m * g, length)
    for one, other in itertools.combinations(NAMES, 2):
        np.testing.assert_allclose(
            token_weights(group, lengths, one), token_weights(group, lengths, other), rtol=1e-12
        )


@LAW
@given(case=grouped(), constant=st.integers(1, 100), data=st.data())
def test_constant_length_weights_do_not_depend_on_the_length(case, constant, data):
    group, _ = case
    lengths = np.array(
        data.draw(st.lists(st.integers(1, 50), min_size=len(group), max_size=len(group)))
    )
    for weighting in ("rollout", "prompt"):
        weights = token_weights(group, lengths, weighting, constant_length=constant)
        ones = token_weights(group, np.ones_like(lengths), weighting)
        np.testing.assert_allclose(weights * constant, ones, rtol=1e-12)


@LAW
@given(case=grouped())
def test_a_bad_reward_is_refused_with_its_place(case):
    group, rewards = case
    assume(len(group) > 1)
    for bad in (math.nan, math.inf):
        rewards[-1] = bad
        with pytest.raises(InputError, match=f"rollout {len(group) - 1}"):
            advantages(rewards, group)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: advantages([0.0, 1.0], [0, 0], "grpo-"), "did you mean 'grpo'"),
        (lambda: advantages([0.0, 1.0], [0, 0], "grpo", "samples"), "did you mean 'sample'"),
        (lambda: advantages([0.0, 1.0], [0, 0], "rloo", "sample"), "goes with advantage 'grpo'"),
        (lambda: advantages([0.0], [0, 0]), "one entry per rollout"),
        (lambda: advantages([], np.zeros(0, dtype=int)), "non-empty"),
        (lambda: advantages([0.0, 1.0], [0.5, 0.5]), "whole numbers"),
        (lambda: rollout_weights([0, 0], [1, 2], "prompts"), "did you mean 'prompt'"),
        (lambda: rollout_weights([0, 0], [1, 0], "token"), "rollout 1 has 0"),
        (lambda: rollout_weights([0, 0], [1.0, 2.0], "token"), "whole numbers"),
        (lambda: token_weights([0, 0], [1, 2], "token", 5), "'token' normalises"),
        (lambda: token_weights([0, 0], [1, 2], "prompt", 0), "at least 1"),
    ],
)
def test_bad_input_says_what_to_do(call, match):
    with pytest.raises(InputError, match=match):
        call()
