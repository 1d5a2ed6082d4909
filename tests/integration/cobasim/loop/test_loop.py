"""The one loop: equal rollouts, estimates only from rollouts seen, resume = uninterrupted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.allocation import make_allocator, one_shot
from cobasim.errors import InputError
from cobasim.loop import BatchOrder, Loop, LoopConfig, MixStep, run
from cobasim.loop.account import gini
from cobasim.runs import RunConfig, build_loop
from cobasim.world import LogisticPolicy, WorldConfig

LOOP = {"steps": 12, "batch_size": 32, "total_budget": 512, "eval_every": 4}
WORLD = {"num_prompts": 100, "num_heldout": 80}


def config(allocator: str = "coba", seed: int = 0, world: dict | None = None, **loop) -> RunConfig:
    return RunConfig(
        allocator=allocator,
        seed=seed,
        loop=LoopConfig(**(LOOP | loop)),
        world=WorldConfig(**(WORLD | (world or {}))),
    )


def records_of(one: RunConfig):
    return run(build_loop(one), make_allocator(one.base_allocator, **one.parameters))


def plain(record):
    """A record without its timing."""
    values = dict(vars(record))
    values.pop("allocate_ms")
    return values


@pytest.mark.parametrize("name", [*one_shot(), "gvm", "vigor", "oracle-coba", "oracle-knapsack"])
@pytest.mark.parametrize("world", ["logistic", "skill-chain"])
def test_every_step_spends_exactly_the_total_within_bounds(name, world):
    records = records_of(config(name, world={"world": world}))
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


@pytest.mark.parametrize("name", ["coba", "coba-released", "knapsack"])
def test_first_visits_get_the_uniform_budget(name):
    records = records_of(config(name, steps=3))  # 3 x 32 of 100 prompts: all first visits
    for record in records[1:]:
        assert record.budget_min == record.budget_max == 16
        assert record.bins["prompts"][12] == 32


def test_uniform_is_plain_grpo():
    """Budgets of 16 for all: the run of an independent loop without any allocator machinery."""
    one = config("uniform", steps=9)
    records = records_of(one)
    policy = LogisticPolicy(one.world, one.seed)
    order = BatchOrder(100, 32, one.seed)
    for step in range(9):
        policy.rollout(order.batch(step), np.full(32, 16))
        policy.update()
    assert records[-1].evaluation == policy.evaluate()


@pytest.mark.parametrize("estimator", ["last", "window", "robust", "posterior"])
@pytest.mark.parametrize("world", ["logistic", "skill-chain"])
def test_a_resumed_run_equals_an_uninterrupted_one(estimator, world):
    one = config("coba", steps=14, estimator=estimator, world={"world": world, "regime_step": 10})
    allocator = make_allocator("coba")
    whole = run(build_loop(one), allocator)
    first = build_loop(one)
    head = [first.start(), *(first.advance(allocator) for _ in range(7))]
    second = build_loop(one)
    second.load_state_dict(first.state_dict())
    tail = run(second, allocator)
    assert [plain(r) for r in head + tail] == [plain(r) for r in whole]


def test_the_capability_window_survives_a_resume():
    """A known fault of other code: the window is not saved, so alpha restarts."""
    one = config("coba", steps=8, window=5)
    loop = build_loop(one)
    for _ in range(4):
        loop.advance(make_allocator("coba"))
    resumed = build_loop(one)
    resumed.load_state_dict(loop.state_dict())
    assert resumed.capability.mean == loop.capability.mean
    assert resumed.observe().failure_rate == loop.observe().failure_rate


def test_allocators_are_never_shown_the_truth_but_for_oracles():
    one = config("coba", steps=20)
    loop = build_loop(one)
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
        Loop(Blind(), LoopConfig(**LOOP), seed=0, estimator="truth")


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


# -- the order of prompts -------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(0, 5), st.data())
def test_batches_are_distinct_and_an_epoch_shows_each_prompt_at_most_once(size, seed, data):
    batch = data.draw(st.integers(1, size))
    order = BatchOrder(size, batch, seed)
    per_epoch = size // batch
    for epoch in range(3):
        shown = np.concatenate([order.batch(epoch * per_epoch + i) for i in range(per_epoch)])
        assert np.unique(shown).size == shown.size
        assert shown.min() >= 0
        assert shown.max() < size


def test_the_order_depends_on_the_step_alone():
    forward, direct = BatchOrder(50, 8, 1), BatchOrder(50, 8, 1)
    batches = [forward.batch(step) for step in range(30)]
    for step in reversed(range(30)):
        np.testing.assert_array_equal(direct.batch(step), batches[step])


def test_a_task_mix_draws_clusters_by_weight():
    clusters = np.repeat([0, 1, 2, 3], 250)
    mix = (MixStep(step=5, weights=(1, 0, 0, 0)), MixStep(step=10, weights=(1, 3, 0, 0)))
    order = BatchOrder(1000, 40, 0, mix=mix, clusters=clusters)
    assert len(set(clusters[order.batch(0)])) == 4
    assert set(clusters[order.batch(7)]) == {0}
    drawn = np.concatenate([clusters[order.batch(step)] for step in range(10, 200)])
    assert set(drawn) == {0, 1}
    assert (drawn == 1).mean() == pytest.approx(0.75, abs=0.03)
    assert np.unique(order.batch(11)).size == 40


def test_a_batch_larger_than_the_pool_is_refused():
    with pytest.raises(InputError, match="at least 32"):
        BatchOrder(20, 32, 0)
    mix = (MixStep(step=0, weights=(0, 1)),)
    with pytest.raises(InputError, match="leaves 10 prompts"):
        BatchOrder(100, 32, 0, mix=mix, clusters=np.repeat([0, 1], [90, 10])).batch(0)


# -- concentration --------------------------------------------------------------------------


@settings(max_examples=100)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_gini_is_half_the_relative_mean_difference(budgets):
    array = np.array(budgets)
    if array.sum() == 0:
        assert gini(np.bincount(array)) == 0.0
        return
    pairs = np.abs(array[:, None] - array[None, :]).mean()
    assert gini(np.bincount(array)) == pytest.approx(pairs / (2 * array.mean()), abs=1e-12)
