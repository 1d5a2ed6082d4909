"""Spreading what is left: evenly, or in proportion."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.allocation.solving.spread import spread_evenly, spread_proportionally

rooms = st.lists(st.integers(0, 50), min_size=1, max_size=30)
laws = settings(max_examples=150, deadline=None)


def amounts(room):
    return st.one_of(st.just(sum(room)), st.integers(0, sum(room)))


@laws
@given(rooms, st.data())
def test_even_shares_are_equal_up_to_one_and_to_the_room(room, data):
    amount = data.draw(amounts(room))
    shares = spread_evenly(amount, np.array(room, dtype=np.int64))
    assert shares.sum() == amount
    assert np.all(shares >= 0)
    assert np.all(shares <= room)
    open_ = shares < np.array(room)
    if open_.any():  # nobody has more than one above anybody with room left
        assert shares.max() <= shares[open_].min() + 1


@laws
@given(st.integers(1, 60), st.integers(0, 500), st.integers(0, 5))
def test_the_ones_that_get_one_more_are_spaced_over_the_batch(m, amount, spare):
    room = np.full(m, amount // m + 1 + spare)
    shares = spread_evenly(amount, room)
    ahead = np.cumsum(shares) - amount * np.arange(1, m + 1) / m
    assert np.all(np.abs(ahead) < 1 + 1e-9)


def test_one_rollout_too_many_does_not_go_to_the_first_prompt():
    assert spread_evenly(3, np.full(6, 9)).tolist() == [0, 1, 0, 1, 0, 1]
    assert spread_evenly(1, np.full(4, 9)).tolist() == [0, 0, 0, 1]


def test_even_shares_leave_the_room_untouched():
    room = np.array([3, 0, 5])
    spread_evenly(6, room)
    assert room.tolist() == [3, 0, 5]


@laws
@given(rooms, st.data())
def test_proportional_shares_sum_and_fit(room, data):
    amount = data.draw(amounts(room))
    weight = st.one_of(st.just(0.0), st.floats(0, 1), st.floats(1e-12, 1e12))
    weights = np.array(data.draw(st.lists(weight, min_size=len(room), max_size=len(room))))
    shares = spread_proportionally(amount, weights, np.array(room, dtype=np.int64))
    assert shares.sum() == amount
    assert np.all(shares >= 0)
    assert np.all(shares <= room)


@laws
@given(st.lists(st.integers(0, 20), min_size=1, max_size=20), st.integers(0, 200))
def test_proportional_shares_with_room_are_the_largest_remainders(weights, amount):
    if sum(weights) == 0:
        return
    shares = spread_proportionally(
        amount, np.array(weights, dtype=float), np.full(len(weights), amount + 1)
    )
    exact = [Fraction(amount * w, sum(weights)) for w in weights]
    assert all(abs(s - x) < 1 for s, x in zip(shares.tolist(), exact, strict=True))
    assert all(s == 0 for s, w in zip(shares.tolist(), weights, strict=True) if w == 0)


@laws
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 40)), min_size=1, max_size=12), st.data()
)
def test_what_a_full_entry_cannot_take_goes_to_the_others_in_proportion(entries, data):
    weights = [w for w, _ in entries]
    room = [r for _, r in entries]
    amount = data.draw(amounts(room))
    shares = spread_proportionally(
        amount, np.array(weights, dtype=float), np.array(room, dtype=np.int64)
    ).tolist()
    # water filling: share_i = min(room_i, level w_i), exactly, then to whole numbers
    full, left = set(), Fraction(amount)
    while True:
        rest = [i for i in range(len(room)) if i not in full]
        if not rest:
            break
        level = left / sum(weights[i] for i in rest)
        over = [i for i in rest if level * weights[i] >= room[i]]
        if not over:
            break
        full.update(over)
        left -= sum(room[i] for i in over)
    for i in range(len(room)):
        exact = room[i] if i in full else level * weights[i]
        assert abs(shares[i] - exact) < 1 + Fraction(1, 10**9)


def test_without_weights_it_is_an_even_spread():
    room = np.array([1, 9, 9])
    assert spread_proportionally(9, np.zeros(3), room).tolist() == [1, 4, 4]
    # weighted entries first, the weightless take what is left
    assert spread_proportionally(9, np.array([1.0, 0.0, 0.0]), room).tolist() == [1, 4, 4]


@pytest.mark.parametrize("spread", ["even", "proportional"])
def test_nothing_to_spread(spread):
    room = np.array([0, 0])
    shares = spread_evenly(0, room) if spread == "even" else spread_proportionally(
        0, np.ones(2), room
    )  # fmt: skip
    assert shares.tolist() == [0, 0]
