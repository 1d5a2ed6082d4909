"""Conditions of a ring in a measured world: one change each, the rest as measured."""

from __future__ import annotations

import pytest
from measured_files import made

from cobasim.errors import InputError
from cobasim.experiments import ring
from cobasim.gradients import write_measured

LOOP = {"steps": 30, "batch_size": 8, "total_budget": 64, "low": 2, "high": 32}
UPDATE = {"advantage": "grpo", "learning_rate": 1e-3, "max_grad_norm": 1.0}
NAMES = ("uniform", "coba")


@pytest.fixture
def world(tmp_path):
    info = {"config": {"update": UPDATE, "loop": LOOP}, "step": 0}
    write_measured(made(info=info), tmp_path / "g.npz")
    return f"measured:{tmp_path}/g.npz"


def found(world, preset="full", names=NAMES, steps=None, **settings):
    return ring.measured_conditions(preset, world, names, steps, settings)


def test_the_first_condition_is_as_measured_and_each_other_has_one_change(world):
    points = found(world).points
    first = points[0]
    assert first == {
        "batch_size": 8, "total_budget": 64, "learning_rate": 1e-3, "num_prompts": 60,
        "update": "grpo", "noise": 1.0,
    }  # fmt: skip
    for point in points[1:]:
        assert len({k for k in point if point[k] != first.get(k)}) == 1
    labels = [ring.label_of({"world": world, **point}, first) for point in points]
    assert labels[0] == "as measured"
    assert len(set(labels)) == len(labels)
    assert {"2 prompts a step", "128 rollouts a step", "pool of 96", "tau 1"} <= set(labels)


def test_conditions_of_quick_are_among_those_of_full(world):
    full = found(world).points
    quick = found(world, "quick").points
    assert quick[0] == full[0]
    assert all(point in full for point in quick)
    assert len(quick) < len(full)


def test_conditions_start_from_what_is_set(world):
    first = found(world, learning_rate=2e-3, batch_size=4, noise=0.5).points[0]
    assert (first["learning_rate"], first["batch_size"], first["noise"]) == (2e-3, 4, 0.5)
    pools = {point["num_prompts"] for point in found(world, steps=60).points}
    assert 60 * 8 / 2.5 in pools  # visits follow the steps


def test_what_is_impossible_is_left_out_with_its_reason(world):
    names = [line.split(":")[0] for line in found(world, names=("uniform", "greso")).left_out]
    assert names == ["tau 1", "tau 64"]
    tight = found(world, batch_size=16, total_budget=32)
    assert any(line.startswith("32 prompts a step: ") for line in tight.left_out)
    assert any(line.startswith("16 rollouts a step: ") for line in tight.left_out)
    assert all(point["total_budget"] >= 2 * point["batch_size"] for point in tight.points)
    seldom = found(world, steps=300)
    assert any("copies of each measured prompt" in line for line in seldom.left_out)
    with pytest.raises(InputError, match="needs a pool"):
        found(world, batch_size=61, total_budget=200)


def test_a_plan_holds_the_world_and_the_measured_steps(world):
    sweep = ring.plan("quick", NAMES, world=world, oracles=False)
    assert sweep.points == found(world, "quick").points
    configs = [sweep.config(point) for point in sweep.points]
    assert {config.world.world for config in configs} == {world}
    assert {config.loop.steps for config in configs} == {30}
    assert {config.loop.high for config in configs} == {32}
    assert sweep.num_runs == len(configs) * 2 * 2 * 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"world": "logistic"}, "--world of a ring is measured:FILE, got logistic"),
        ({"pass_rates": "a.csv"}, "leave out --pass-rates"),
        ({"settings": {"tau": 3}}, "--set tau: a ring's conditions set that themselves"),
        ({"settings": {"population": "easy"}}, "has no population"),
    ],
)
def test_what_a_measured_ring_refuses(world, more, words):
    with pytest.raises(InputError, match=words) as caught:
        ring.plan("full", NAMES, **{"world": world, **more})
    assert "\n" not in str(caught.value)
