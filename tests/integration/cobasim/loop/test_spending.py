"""The contract between loop and allocator: rounds, parts, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from small_runs import config, plain

from cobasim.allocation import Allocator, Kept, RoundsAllocator, make_allocator
from cobasim.errors import InputError
from cobasim.loop import run
from cobasim.runs import build_loop

WORLDS = ["logistic", "skill-chain"]


@dataclass(frozen=True, kw_only=True)
class Halves(RoundsAllocator):
    """Uniform budgets, in two rounds."""

    def rounds(self, obs, limits):
        half = np.full(obs.pass_rate.size, limits.total // obs.pass_rate.size // 2)
        yield half
        yield half


@dataclass(frozen=True, kw_only=True)
class Whole(Allocator):
    """Uniform budgets, all kept: as if nothing had been selected."""

    needs: ClassVar[frozenset[str]] = frozenset({"part"})

    def __call__(self, obs, limits):
        return np.full(obs.pass_rate.size, limits.total // obs.pass_rate.size)

    def keep(self, obs, budgets, passes):
        return Kept(budgets, passes)


@pytest.mark.parametrize("world", WORLDS)
def test_groups_are_the_union_of_their_rounds(world):
    loop = build_loop(config("uniform", world))
    record = loop.advance(Halves())
    assert record.rollouts == 512
    assert record.budget_min == record.budget_max == 16
    assert record.rounds == 2
    assert record.trained_rollouts == 512


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", ["grpo", "dr-grpo", "rloo"])
def test_an_update_from_merged_rounds_is_that_of_one_round_with_the_same_counts(world, kind):
    chosen = config("uniform", world, update=kind)
    prompts, budgets = np.arange(20), np.arange(20) % 5 + 4
    split, joint = build_loop(chosen).learner, build_loop(chosen).learner
    for _ in range(3):
        first, later = prompts[:15], prompts[5:]
        passes = np.zeros(20, dtype=np.int64)
        passes[first] += split.rollout(first, budgets[:15])
        passes[later] += split.rollout_more(later, budgets[5:])
        number = np.bincount(first, budgets[:15], 20) + np.bincount(later, budgets[5:], 20)
        assert (passes <= number).all()
        joint.rollout(prompts, number.astype(np.int64))
        joint.keep(prompts, Kept(number.astype(np.int64), passes))  # the very same outcomes
        assert split.update() == joint.update()
        np.testing.assert_array_equal(split.all_pass_rates(), joint.all_pass_rates())


@pytest.mark.parametrize("world", WORLDS)
def test_keeping_everything_is_selecting_nothing(world):
    one, other = build_loop(config("uniform", world)), build_loop(config("uniform", world))
    for _ in range(6):
        kept = plain(one.advance(Whole()))
        assert (kept["trained_rollouts"], kept["rounds"]) == (512, 1)
        kept |= {"trained_rollouts": None, "rounds": None}
        assert kept == plain(other.advance(make_allocator("uniform")))


class Coin:
    """A learner that can neither go on sampling nor leave rollouts out."""

    num_prompts = 100

    def rollout(self, prompts, budgets):
        return budgets // 2

    def update(self):
        return {}


@pytest.mark.parametrize(
    ("name", "method"), [("gvm", "rollout_more"), ("pods", "keep"), ("vip-gp", "prompt_features")]
)
def test_a_learner_that_cannot_serve_says_what_is_missing(name, method):
    from cobasim.loop import Loop

    loop = Loop(Coin(), config("uniform").loop, seed=0)
    with pytest.raises(InputError, match=method):
        loop.advance(make_allocator(name))


def test_an_allocator_that_spends_nothing_is_refused():
    class Idle(Whole):
        exact: ClassVar[bool] = False

        def __call__(self, obs, limits):
            return np.zeros(obs.pass_rate.size, dtype=np.int64)

    with pytest.raises(InputError, match="spent no rollouts"):
        build_loop(config("uniform")).advance(Idle())


@pytest.mark.parametrize(("first", "match"), [(14, "510 rollouts"), (200, "above high")])
def test_what_an_allocator_did_not_say_is_refused(first, match):
    class Careless(Whole):
        def __call__(self, obs, limits):
            return np.where(np.arange(obs.pass_rate.size) == 0, first, 16)

    with pytest.raises(InputError, match=match):
        build_loop(config("uniform")).advance(Careless())


def test_one_that_spends_little_makes_more_updates_but_not_without_end():
    class Miser(Whole):
        exact: ClassVar[bool] = False

        def __call__(self, obs, limits):
            return np.where(np.arange(obs.pass_rate.size) == 0, 2, 0)

    loop = build_loop(config("uniform", steps=2))
    records = run(loop, Miser())
    assert records[-1].step == 20
    assert records[-1].evaluation is not None
