"""Presets of the reproduction cost what they say."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from cobasim.errors import InputError
from cobasim.experiments import reproduction
from cobasim.experiments.reproduction.plan import HALF_ARM, distinct_runs
from cobasim.loop import LoopConfig
from cobasim.runs import PRESETS as COMPARE_PRESETS


def test_presets_cost_what_they_say():
    for preset in reproduction.PRESETS.values():
        sweep, keys = reproduction.sweep_of(preset)
        assert len(keys) == len(sweep.points)
        assert sweep.num_runs == distinct_runs(sweep) == 256 * preset.seeds
        assert sweep.preset in COMPARE_PRESETS
        for point, _, config in sweep.runs():
            mean = 8 if keys[point][1] == HALF_ARM else 16
            assert config.loop.total_budget == mean * preset.batch_size
            assert config.loop.eval_every == preset.steps  # only before and after
            for name, value in asdict(preset).items():
                part = config.loop if name in LoopConfig.model_fields else config.world
                assert name == "seeds" or getattr(part, name) == value
    with pytest.raises(InputError, match="did you mean 'full'"):
        reproduction.find_preset("ful")
