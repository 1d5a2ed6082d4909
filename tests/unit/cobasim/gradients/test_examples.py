"""The files that ship: of the same prompts, without a machine's paths, small."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cobasim.gradients import read_measured_files
from cobasim.settings import validated
from cobasim.world import WorldConfig, find_world

EXAMPLES = Path(__file__).parents[4] / "examples"
FILES = [EXAMPLES / name for name in ("gradients_tiny_lm.npz", "gradients_tiny_lm_40.npz")]


def test_they_belong_together_and_name_their_model():
    first, later = read_measured_files(",".join(map(str, FILES)))
    assert (first.step, later.step) == (0, 40)
    assert first.info["config"]["model"]["path"] == "models/tiny"
    assert later.info["config"]["model"]["path"] == "models/tiny"
    assert sum(file.stat().st_size for file in FILES) < 20e6
    # the odds give the pass rates that were computed
    world = validated(WorldConfig, {"world": f"measured:{FILES[0]}"})
    policy = find_world(world.world)(world, 0)
    np.testing.assert_allclose(policy.all_pass_rates(), first.rate, rtol=1e-4, atol=1e-6)
    # halves of 8 in a metric that was made of them
    root_sum = first.root_sum * first.info["tokens of a response"]
    assert first.noise_total <= 2 * 8 * root_sum * np.sqrt(first.info["parameters"])


def test_held_out_accuracy_rises_as_in_the_real_uniform_run():
    """Nothing is fitted: 33 % at the start of the real run, 44 to 45 % after 20 steps."""
    names = ",".join(map(str, FILES))
    world = validated(WorldConfig, {"world": f"measured:{names}", "num_prompts": 1024})
    policy = find_world(world.world)(world, 0)
    rng = np.random.default_rng(0)
    first = policy.evaluate()["heldout"]
    for _ in range(20):
        policy.rollout(rng.choice(1024, 64, replace=False), np.full(64, 8))
        policy.update()
    assert 0.06 < policy.evaluate()["heldout"] - first < 0.16
