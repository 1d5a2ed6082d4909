"""Modelled time of real simulated runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_runs import config

from cobasim.errors import InputError
from cobasim.records import read_run
from cobasim.runs import execute
from cobasim.scores import WallTime, wall_time_curve


def test_modelled_time_follows_tokens(tmp_path):
    done = read_run(execute(config("uniform", steps=3, length_spread=0.8), tmp_path))
    model = WallTime(
        round_latency=0, generated_per_second=2, trained_per_second=1e9, step_overhead=0
    )
    tokens = sum(step.learner.get("tokens", 0.0) for step in done.steps)
    assert model.seconds(done)[-1] == pytest.approx(tokens / 2, rel=1e-6)


def test_modelled_time_counts_rounds_generation_training_and_overhead(tmp_path):
    model = WallTime(round_latency=7, generated_per_second=4, trained_per_second=2, step_overhead=1)
    plain_run = read_run(execute(config("uniform", steps=3), tmp_path / "a"))
    np.testing.assert_allclose(model.seconds(plain_run), np.arange(4) * (8 + 128 + 256))
    two = read_run(execute(config("gvm", steps=3), tmp_path / "b"))
    np.testing.assert_allclose(model.seconds(two), np.arange(4) * (15 + 128 + 256))
    few = read_run(execute(config("pods", steps=3), tmp_path / "c"))
    np.testing.assert_allclose(model.seconds(few), np.arange(4) * (8 + 128 + 64))
    seconds, accuracy = wall_time_curve(few, model)
    ends = few.steps[0].evaluation["heldout"], few.steps[-1].evaluation["heldout"]
    assert (seconds[0], seconds[-1]) == pytest.approx((0.0, 600.0))
    assert (accuracy[0], accuracy[-1]) == ends
    json.dumps(vars(model))
    with pytest.raises(InputError, match="generated_per_second"):
        WallTime(generated_per_second=0)
