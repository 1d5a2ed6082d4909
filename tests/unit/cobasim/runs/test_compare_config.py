"""Plans of comparisons: presets, pairs, settings."""

from __future__ import annotations

import pytest

from cobasim.allocation import ALLOCATORS, PEERS
from cobasim.errors import InputError
from cobasim.runs import PRESETS, CompareConfig, plan, settle
from cobasim.settings import validated


def test_a_plan_pairs_seeds_and_gives_each_allocator_its_own_parameters():
    values = settle("quick", {"kappa": 15, "tau": 3, "transfer": 0.2}, seeds=2)
    configs = list(plan(validated(CompareConfig, values)))
    assert len(configs) == 2 * 2 * len(PRESETS["quick"]["allocators"])
    for one in configs:
        assert one.world.transfer == 0.2
        own = {"uniform": {}, "knapsack": {}, "coba": {"kappa": 15, "tau": 3}}
        assert one.parameters == own.get(one.allocator, one.parameters)
    worlds = {one.world.model_copy(update={"weighting": "rollout"}) for one in configs}
    assert len(worlds) == 1


def test_the_presets_together_run_every_allocator_and_the_papers_oracles():
    names = PRESETS["paper"]["allocators"]
    own = set(ALLOCATORS) - set(PEERS)
    assert own <= set(names)
    assert {f"oracle-{name}" for name in own if name != "uniform"} <= set(names)
    assert set(PEERS) | {"uniform", "coba", "knapsack"} == set(PRESETS["peers"]["allocators"])
    config = validated(CompareConfig, settle("paper", {}))
    assert (config.loop.steps, config.seeds, config.loop.batch_size) == (500, 16, 512)
    assert config.world.num_prompts == 17_000


def test_settings_reach_only_what_knows_them():
    with pytest.raises(InputError, match="unknown setting 'kappa'"):
        settle("quick", {"kappa": 15}, allocators=("uniform", "knapsack"))
