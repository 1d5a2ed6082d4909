"""The reusable check of allocators: all of ours pass it, and each rule finds its breach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from cobasim.allocation import ALLOCATORS, Allocator, Limits, RoundsAllocator, uniform_budgets
from cobasim.errors import InputError
from cobasim.testing import RULES, check_allocator, observation

# what it hands out evenly comes on top of budgets that may differ by one already
SLACK = {"coba-released": 2}


@pytest.mark.parametrize("name", sorted(ALLOCATORS))
def test_every_registered_allocator_keeps_the_contract(name):
    done = check_allocator(name, slack=SLACK.get(name, 1))
    assert done.batches > 700 or "features" in ALLOCATORS[name].needs
    assert done.seconds_at_a_million is None


@dataclass(frozen=True, kw_only=True)
class Even(Allocator):
    """The uniform budgets: the breaches below are made of it."""

    def __call__(self, obs, limits):
        return uniform_budgets(obs.pass_rate.size, limits)


class Breaches:
    @dataclass(frozen=True, kw_only=True)
    class Floats(Even):
        def __call__(self, obs, limits):
            return super().__call__(obs, limits).astype(float)

    @dataclass(frozen=True, kw_only=True)
    class AList(Even):
        def __call__(self, obs, limits):
            return super().__call__(obs, limits).tolist()

    @dataclass(frozen=True, kw_only=True)
    class OneShort(Even):
        def __call__(self, obs, limits):
            budgets = super().__call__(obs, limits)
            if budgets[0] > limits.low:
                budgets[0] -= 1
            return budgets

    @dataclass(frozen=True, kw_only=True)
    class OutOfBounds(Even):
        def __call__(self, obs, limits):
            budgets = super().__call__(obs, limits)
            if budgets.size > 1:
                budgets[0] -= 1
                budgets[1] += 1
            return budgets

    @dataclass(frozen=True, kw_only=True)
    class Crashes(Even):
        def __call__(self, obs, limits):
            if obs.pass_rate.max() == 0.0:
                raise ZeroDivisionError("no hope")
            return super().__call__(obs, limits)

    @dataclass(frozen=True, kw_only=True)
    class Scribbles(Even):
        def __call__(self, obs, limits):
            obs.pass_rate[:] = 0.5
            return super().__call__(obs, limits)

    @dataclass(frozen=True, kw_only=True)
    class Coin(Even):
        rng: ClassVar[np.random.Generator] = np.random.default_rng(0)

        def __call__(self, obs, limits):
            return self.rng.permutation(super().__call__(obs, limits))

    @dataclass(frozen=True, kw_only=True)
    class Remembers(Even):
        calls: ClassVar[list[int]] = []

        def __call__(self, obs, limits):
            self.calls.append(1)
            budgets = super().__call__(obs, limits)
            return budgets[::-1].copy() if len(self.calls) > 1200 else budgets

    @dataclass(frozen=True, kw_only=True)
    class Clips(Even):
        def __call__(self, obs, limits):
            m = obs.pass_rate.size
            total = min(max(limits.total, m * limits.low), m * limits.high)
            return super().__call__(obs, Limits(total, limits.low, limits.high))

    @dataclass(frozen=True, kw_only=True)
    class FirstFirst(Even):
        def __call__(self, obs, limits):
            m = obs.pass_rate.size
            limits = limits.for_batch(m)
            left = limits.total - m * limits.low
            room = limits.high - limits.low
            return limits.low + np.clip(left - room * np.arange(m), 0, room)

    @dataclass(kw_only=True)
    class Thawed:
        def __call__(self, obs, limits):
            return uniform_budgets(obs.pass_rate.size, limits)

    class Undecorated(Even):
        pass


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("Floats", "budgets", "float64"),
        ("AList", "budgets", "list"),
        ("OneShort", "budgets", "not "),
        ("OutOfBounds", "budgets", "outside"),
        ("Crashes", "budgets", "ZeroDivisionError: no hope"),
        ("Scribbles", "input", "in place"),
        ("Coin", "deterministic", "asked again"),
        ("Remembers", "deterministic", "other batches"),
        ("Clips", "infeasible", "answered"),
        ("FirstFirst", "equals", "look the same"),
        ("Thawed", "kind", "not a subclass"),
        ("Undecorated", "kind", "frozen=True"),
    ],
)
def test_each_rule_finds_its_breach(name, rule, words):
    with pytest.raises(AssertionError, match=f"rule '{rule}'") as caught:
        check_allocator(getattr(Breaches, name))
    assert words in str(caught.value)
    assert name in str(caught.value)


def test_one_that_deals_by_position_can_be_exempted():
    with pytest.raises(AssertionError, match="rule 'order'"):
        check_allocator(Breaches.FirstFirst, exempt=("equals",))
    check_allocator(Breaches.FirstFirst, exempt=("equals", "order"))
    with pytest.raises(InputError, match="did you mean 'order'"):
        check_allocator(Even, exempt=("ordr",))


@dataclass(frozen=True, kw_only=True)
class TwoRounds(RoundsAllocator):
    """The lower bound for all, then the rest to the first prompt that has room."""

    short: ClassVar[int] = 0

    def rounds(self, obs, limits):
        m = obs.pass_rate.size
        limits = limits.for_batch(m)
        yield np.full(m, limits.low)
        left = limits.total - m * limits.low - self.short
        room = limits.high - limits.low
        yield np.clip(left - room * np.arange(m), 0, room)


@dataclass(frozen=True, kw_only=True)
class TwoShort(TwoRounds):
    short: ClassVar[int] = 1


@dataclass(frozen=True, kw_only=True)
class SaysSo(TwoShort):
    exact: ClassVar[bool] = False


def test_one_that_spends_in_rounds_is_driven_and_held_to_what_it_says():
    assert check_allocator(TwoRounds).batches > 700
    with pytest.raises(AssertionError, match="rule 'budgets'"):
        check_allocator(TwoShort)
    check_allocator(SaysSo)


def test_what_is_given_may_be_a_class_a_function_or_a_name():
    one, two = check_allocator(Even), check_allocator(lambda: Even())
    assert one == two == check_allocator("uniform")


def test_a_million_prompts_are_timed_on_request_only():
    assert check_allocator(Even, samples=1, million=True).seconds_at_a_million > 0.0
    with pytest.raises(AssertionError, match="a million prompts took"):
        check_allocator(Even, samples=1, max_seconds_at_a_million=1e-9)


def test_the_observation_for_tests():
    obs = observation([0.2, 0.4], [0, 3])
    assert obs.seen.tolist() == [False, True]
    assert set(RULES) == {
        "kind", "budgets", "input", "deterministic", "infeasible", "equals", "order",
    }  # fmt: skip
