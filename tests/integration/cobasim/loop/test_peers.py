"""Peers in the loop: recorded truthfully, resumed exactly, as their papers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from batches import observe
from small_runs import config, plain, records_of

from cobasim.allocation import PEERS, make_allocator, one_shot
from cobasim.allocation.peers.cero import CeroValue
from cobasim.errors import InputError
from cobasim.loop import run
from cobasim.records import read_run
from cobasim.runs import build_loop, execute

WORLDS = ["logistic", "skill-chain"]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", [*sorted(set(one_shot()) - set(PEERS)), "oracle-coba"])
def test_allocators_of_one_round_are_recorded_as_before(name, world):
    """The loop written out: observe, allocate, roll out once, update, record."""
    chosen = config(name, world)
    allocator = make_allocator(chosen.base_allocator)
    loop, by_hand = build_loop(chosen), build_loop(chosen)
    for _ in range(12):
        obs = by_hand.observe(allocator)
        budgets = allocator(obs, by_hand.limits)
        expected = by_hand.act(obs, budgets, shape=allocator.shape(obs))
        found = replace(loop.advance(allocator), allocate_ms=None)
        assert found.to_json() == expected.to_json()
        known = "parts" in allocator.needs and world == "logistic"
        assert ("own" in found.learner) == known
        assert known or list(found.learner) == ["grad_norm"]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", [*PEERS])
def test_a_run_is_recorded_truthfully_and_ends_at_equal_rollouts(name, world, tmp_path):
    path = execute(config(name, world), tmp_path)
    steps = read_run(path).steps
    spent = np.diff([step.rollouts for step in steps])
    assert steps[-1].rollouts >= 12 * 512 > steps[-2].rollouts
    assert steps[-1].evaluation is not None
    for step, cost in zip(steps[1:], spent, strict=True):
        assert sum(step.bins["rollouts"]) == cost
        assert sum(step.bins["prompts"]) == step.prompts >= 32
        assert step.budget_max <= 128
        assert step.budget_min >= 2 or not PEERS[name].exact
        if PEERS[name].exact:
            assert cost == 512
        if PEERS[name].needs & {"rounds", "part"}:
            assert step.trained_rollouts <= cost
            assert step.rounds >= 1
        else:
            assert step.trained_rollouts is step.rounds is None


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", [*PEERS])
def test_a_resumed_run_equals_an_uninterrupted_one(name, world):
    chosen = config(name, world, steps=10)
    allocator = make_allocator(name)
    whole = run(build_loop(chosen), allocator)
    first = build_loop(chosen)
    head = [first.start()]
    while first.rollouts < 4 * 512:
        head.append(first.advance(allocator))
    second = build_loop(chosen)
    second.load_state_dict(first.state_dict())
    assert [plain(r) for r in head + run(second, allocator)] == [plain(r) for r in whole]


@pytest.mark.parametrize("name", ["greso", "cero"])
def test_memory_is_refused_by_another_allocator(name):
    chosen = config(name)
    loop = build_loop(chosen)
    loop.advance(make_allocator(name))
    state = loop.state_dict()
    assert state["memory"]
    other = build_loop(chosen)
    other.load_state_dict(state)
    with pytest.raises(InputError, match="stored memory"):
        other.advance(make_allocator("coba"))


@pytest.mark.parametrize("name", [n for n, kind in PEERS.items() if "beliefs" not in kind.needs])
def test_those_that_do_not_look_at_beliefs_run_as_their_oracles_do(name):
    seen = [
        [(r.rollouts, r.learner, r.evaluation) for r in records_of(config(one, steps=6))]
        for one in (name, f"oracle-{name}")
    ]
    assert seen[0] == seen[1]


GRID = np.arange(3, 40)


@pytest.mark.parametrize("world", WORLDS)
def test_vip_gp_predicts_prompts_that_it_never_saw_from_those_that_it_did(world):
    chosen = config(
        "vip-gp", world, steps=16, total_budget=2048, num_prompts=1024, num_heldout=10,
        relatedness=1.0,
    )  # fmt: skip
    loop, allocator = build_loop(chosen), make_allocator("vip-gp")
    for _ in range(16):
        loop.advance(allocator)
    fresh = np.concatenate([loop.order.batch(step) for step in range(16, 32)])
    assert not loop.account.coverage.visited[fresh].any()
    obs = replace(
        observe(np.full(fresh.size, 0.5), prompts=fresh, memory=loop.account.memory),
        features=loop.learner.prompt_features(fresh),
    )
    truth = loop.learner.pass_rates(fresh)
    assert np.corrcoef(allocator.predict(obs), truth)[0, 1] > 0.5


@pytest.mark.parametrize("world", ["logistic", "skill-chain"])
def test_the_worlds_have_gradient_norms_and_lengths(world):
    for name, parameters in (("gvm", {"gradients": "learner"}), ("duet", {})):
        chosen = config(name, world, steps=4, length_spread=0.8)
        chosen = chosen.model_copy(update={"parameters": parameters})
        assert all(record.learner["tokens"] > 0 for record in records_of(chosen)[1:])


def test_dapo_draws_until_the_batch_is_full_of_mixed_groups_and_pays_for_all():
    chosen = config("dapo", steps=6)
    steps = records_of(chosen)[1:]
    assert any(step.prompts > 32 for step in steps)
    before = 0
    for step in steps:
        assert step.rollouts - before == 16 * step.prompts  # every drawn prompt cost N
        before = step.rollouts
        mixed = sum(step.bins["mixed"])
        assert step.trained_rollouts == 16 * min(mixed, 32) or not mixed
        assert mixed >= 32 or step.rounds > 1


def test_dapo_stops_at_its_bound():
    loop = build_loop(config("dapo"))
    allocator = make_allocator("dapo", batches=2)
    record = loop.advance(allocator)
    assert record.prompts <= 64
    assert loop.drawn <= 1


def test_greso_without_replacement_spends_less():
    chosen = config("greso", steps=8, total_budget=128)
    loop = build_loop(chosen)
    records = run(loop, make_allocator("greso", batches=1))
    assert any(record.budget_min == 0 for record in records[1:])
    assert records[-1].step > 8
    assert loop.drawn == 0


def test_cero_has_one_price_and_the_papers_utility():
    q, units = np.array([0.25, 0.1]), np.array([0.0, 7.0])
    value = CeroValue(q, units, 4 * 1.5 / 16)
    utility = 1 - np.exp(-4 * 1.5 * q * (units + GRID[:, None]) / 16)
    np.testing.assert_allclose(np.diff(utility, axis=0), value.gain(GRID[:-1, None]), rtol=1e-9)
    loop = build_loop(config("cero", steps=8))
    loop.advance(make_allocator("cero"))
    memory = loop.account.memory
    assert np.isfinite(memory["log_price"]).all()
    assert memory["units"].sum() == 512
    first = memory["units"] > 0
    np.testing.assert_allclose((memory["a"] + memory["b"])[first], 18)
    for _ in range(6):
        before, price = loop.rollouts, float(memory["log_price"][0])
        loop.advance(make_allocator("cero"))
        share = (loop.rollouts - before) / 512
        assert 0.3 <= share <= 1.5
        assert memory["log_price"][0] == pytest.approx(price + 0.5 * (share - 1))


def test_pods_generates_all_and_trains_on_a_balanced_quarter():
    record = records_of(config("pods", steps=2))[1]
    assert record.rollouts == 512
    assert (record.trained_rollouts, record.rounds) == (128, 1)
    kept = make_allocator("pods").keep(observe([0.5] * 3), np.full(3, 16), np.array([1, 8, 16]))
    assert kept.passes.tolist() == [1, 2, 4]
    assert kept.baseline is None
