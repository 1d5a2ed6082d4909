"""Pass rates of answers of several tokens: against the definition, one token at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured_files import rates_by_hand

from cobasim.gradients import Answers

tables = st.lists(
    st.lists(st.lists(st.floats(-30, 6), min_size=1, max_size=4), min_size=1, max_size=4),
    min_size=1,
    max_size=6,
)


def flat(table):
    rows = [
        (i, t, odds)
        for i, places in enumerate(table)
        for t, several in enumerate(places)
        for odds in several
    ]
    prompt, position, odds = zip(*rows, strict=True)
    return np.array(prompt), np.array(position), np.array(odds)


@given(tables)
def test_rates_are_those_of_the_definition(table):
    prompt, position, odds = flat(table)
    rates, weights = Answers.of(prompt, position).rates(odds)
    np.testing.assert_allclose(rates, rates_by_hand(prompt, position, odds), rtol=1e-12)
    assert (weights <= 0).all()


@given(tables, st.randoms())
def test_some_prompts_are_as_they_are_among_all(table, random):
    prompt, position, odds = flat(table)
    whole = Answers.of(prompt, position)
    some = np.array(random.choices(range(len(table)), k=5))
    rows, answers = whole.take(some)
    rates, weights = whole.rates(odds)
    np.testing.assert_array_equal(answers.rates(odds[rows])[0], rates[some])
    np.testing.assert_array_equal(answers.rates(odds[rows])[1], weights[rows])
    np.testing.assert_array_equal(answers.sums(odds[rows]), whole.sums(odds)[some])


def test_weights_are_the_derivatives_of_the_logit():
    prompt, position, odds = flat([[[-1.0, 0.3], [0.1]], [[-2.0]], [[0.5, 0.2, -3.0]]])
    answers = Answers.of(prompt, position)

    def logits(values):
        rates = answers.rates(values)[0]
        return np.log(rates) - np.log1p(-rates)

    _, weights = answers.rates(odds)
    for number in range(odds.size):
        step = np.zeros(odds.size)
        step[number] = 1e-6
        change = (logits(odds + step) - logits(odds - step)) / 2e-6
        expected = np.zeros(3)
        expected[prompt[number]] = weights[number]
        np.testing.assert_allclose(change, expected, rtol=1e-6, atol=1e-9)


def test_rates_at_the_ends_stay_finite():
    answers = Answers.of(np.array([0, 1, 2]), np.zeros(3, dtype=np.int64))
    rates, weights = answers.rates(np.array([1e6, -1e6, 0.0]))
    assert rates[2] == 0.5
    assert 0 <= rates[0] < 1e-200
    assert rates[1] == 1.0
    assert np.isfinite(weights).all()


def test_one_alternative_is_minus_the_logit():
    answers = Answers.of(np.arange(4), np.zeros(4, dtype=np.int64))
    odds = np.array([-2.0, 0.0, 1.0, 3.0])
    rates, weights = answers.rates(odds)
    np.testing.assert_allclose(np.log(rates / (1 - rates)), -odds)
    np.testing.assert_allclose(weights, -1.0)
    assert pytest.approx(rates[1]) == 0.5
