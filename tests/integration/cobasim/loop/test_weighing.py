"""Weights of the loss apart from the budgets."""

from __future__ import annotations

import numpy as np
import pytest

from cobasim.allocation import Limits, make_allocator
from cobasim.errors import InputError
from cobasim.loop import LoopConfig, run
from cobasim.runs import RunConfig, build_loop
from cobasim.settings import validated
from cobasim.updates import group_weights
from cobasim.world import WorldConfig

SMALL_WORLD = {"num_prompts": 64, "num_heldout": 32}
SMALL_LOOP = {"steps": 12, "batch_size": 16, "total_budget": 256}


def weighed(allocator: str, weigh_as: str | None, **world) -> list[float]:
    config = RunConfig(
        allocator=allocator, weigh_as=weigh_as, loop=LoopConfig(**SMALL_LOOP),
        world=WorldConfig(**SMALL_WORLD, **world),
    )  # fmt: skip
    records = run(build_loop(config), make_allocator(allocator))
    return [step.learner["grad_norm"] for step in records[1:]]


def test_weighing_as_oneself_changes_nothing():
    assert weighed("coba", "coba") == weighed("coba", None)


def test_weighing_as_uniform_is_the_weighting_per_prompt():
    assert weighed("coba", "uniform") == pytest.approx(weighed("coba", None, weighting="prompt"))


def test_weights_come_from_the_other_allocator_and_rollouts_do_not():
    config = RunConfig(
        allocator="uniform", weigh_as="coba", loop=LoopConfig(**SMALL_LOOP),
        world=WorldConfig(**SMALL_WORLD),
    )  # fmt: skip
    loop = build_loop(config)
    uniform, coba = make_allocator("uniform"), make_allocator("coba")
    used = []
    original = loop.learner.weigh

    def weigh(prompts, budgets):
        used.append(budgets)
        original(prompts, budgets)

    loop.learner.weigh = weigh
    for _ in range(8):
        obs = loop.observe()
        wanted = coba(obs, Limits(256, 2, 128))
        record = loop.advance(uniform)
        assert record.budget_max == record.budget_min == 16
        np.testing.assert_array_equal(used[-1], wanted)
    assert group_weights(used[-1], "rollout").max() > 2 / 16


def test_weights_of_another_need_the_weighting_per_rollout():
    with pytest.raises(InputError, match="per rollout"):
        validated(RunConfig, {"weigh_as": "coba", "world": WorldConfig(weighting="prompt")})
    with pytest.raises(InputError, match="did you mean 'coba'"):
        validated(RunConfig, {"weigh_as": "cobra"})
