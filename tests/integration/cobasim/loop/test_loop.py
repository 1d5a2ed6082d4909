"""The one loop: equal rollouts, estimates only from rollouts seen, resume = uninterrupted."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import config, plain, records_of

from cobasim.allocation import make_allocator, one_shot
from cobasim.errors import InputError
from cobasim.loop import BatchOrder, Loop, run
from cobasim.runs import build_loop
from cobasim.world import LogisticPolicy


@pytest.mark.parametrize("name", [*one_shot(), "gvm", "vigor", "oracle-coba", "oracle-knapsack"])
@pytest.mark.parametrize("world", ["logistic", "skill-chain"])
def test_every_step_spends_exactly_the_total_within_bounds(name, world):
    records = records_of(config(name, world=world))
    assert [r.step for r in records] == list(range(13))
    assert [r.rollouts for r in records] == [512 * t for t in range(13)]
    for record in records[1:]:
        assert sum(record.bins["rollouts"]) == 512
        assert sum(record.bins["prompts"]) == record.prompts == 32
        assert record.budget_min >= 2
        assert record.budget_max <= 128
        assert 0 <= record.mixed_share <= 1
        assert sum(record.bins["mixed"]) == round(32 * record.mixed_share)
    assert [r.step for r in records if r.evaluation] == [0, 4, 8, 12]


@pytest.mark.parametrize("wrong", [-1, 129])
def test_a_learner_that_reports_impossible_passes_is_stopped(wrong, monkeypatch):
    loop = build_loop(config("uniform"))

    def rollout(prompts, budgets):
        passes = np.zeros(prompts.size, dtype=np.int64)
        passes[3] = wrong
        return passes

    monkeypatch.setattr(loop.learner, "rollout", rollout)
    with pytest.raises(InputError, match=r"reports passes from .*: they must be 0 to"):
        loop.advance(make_allocator("uniform"))


@pytest.mark.parametrize("name", ["coba", "coba-released", "knapsack"])
def test_first_visits_get_the_uniform_budget(name):
    records = records_of(config(name, steps=3))  # 3 x 32 of 100 prompts: all first visits
    for record in records[1:]:
        assert record.budget_min == record.budget_max == 16
        assert record.bins["prompts"][12] == 32


def test_uniform_is_plain_grpo():
    """Budgets of 16 for all: the run of an independent loop without any allocator machinery."""
    chosen = config("uniform", steps=9)
    records = records_of(chosen)
    policy = LogisticPolicy(chosen.world, chosen.seed)
    order = BatchOrder(100, 32, chosen.seed)
    for step in range(9):
        policy.rollout(order.batch(step), np.full(32, 16))
        policy.update()
    assert records[-1].evaluation == policy.evaluate()


@pytest.mark.parametrize("estimator", ["last", "window", "robust", "posterior"])
@pytest.mark.parametrize("world", ["logistic", "skill-chain"])
def test_a_resumed_run_equals_an_uninterrupted_one(estimator, world):
    chosen = config("coba", steps=14, estimator=estimator, world=world, regime_step=10)
    allocator = make_allocator("coba")
    whole = run(build_loop(chosen), allocator)
    first = build_loop(chosen)
    head = [first.start(), *(first.advance(allocator) for _ in range(7))]
    second = build_loop(chosen)
    second.load_state_dict(first.state_dict())
    tail = run(second, allocator)
    assert [plain(r) for r in head + tail] == [plain(r) for r in whole]


def test_the_capability_window_survives_a_resume():
    """A known fault of other code: the window is not saved, so alpha restarts."""
    chosen = config("coba", steps=8, window=5)
    loop = build_loop(chosen)
    for _ in range(4):
        loop.advance(make_allocator("coba"))
    resumed = build_loop(chosen)
    resumed.load_state_dict(loop.state_dict())
    assert resumed.account.capability.mean == loop.account.capability.mean
    assert resumed.observe().failure_rate == loop.observe().failure_rate


def test_allocators_are_never_shown_the_truth_but_for_oracles():
    chosen = config("coba", steps=20)
    loop = build_loop(chosen)
    for _ in range(10):
        loop.advance(make_allocator("coba"))
    obs = loop.observe()
    assert not np.allclose(obs.pass_rate, loop.learner.pass_rates(obs.prompts))
    oracle = build_loop(config("oracle-coba"))
    obs = oracle.observe()
    np.testing.assert_array_equal(obs.pass_rate, oracle.learner.pass_rates(obs.prompts))
    assert obs.seen.all()


def test_an_oracle_needs_a_learner_that_knows_the_truth():
    class Blind:
        num_prompts = 50

    with pytest.raises(InputError, match="oracle"):
        Loop(Blind(), config().loop, seed=0, estimator="truth")


def test_allocators_meet_the_same_prompts_and_the_same_luck():
    loops = [build_loop(config(name, seed=3)) for name in ("uniform", "coba")]
    for step in range(3):  # first visits: budgets are equal, so everything must be
        records = [
            loop.advance(make_allocator(name))
            for loop, name in zip(loops, ("uniform", "coba"), strict=True)
        ]
        assert records[0].failure_rate == records[1].failure_rate, step
    for step in range(3, 20):
        np.testing.assert_array_equal(loops[0].order.batch(step), loops[1].order.batch(step))
