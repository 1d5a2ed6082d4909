"""The parts that updates find on the way, against a measurement of the same policy."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from training import SMALL

from cobasim.allocation import make_allocator
from cobasim.gradients import RunningParts
from cobasim.loop import Loop
from cobatrain import trainer
from cobatrain.config import load_config
from cobatrain.gradients import GradientOptions, decide, measure_gradients

OPTIONS = GradientOptions(
    prompts=300, groups=192, rollouts=16, dim=4096, rank=16, plain_rank=4, rest=0
)
STILL = "update.learning_rate=1e-15"  # the policy stays what it is


def test_updates_find_the_parts_that_a_measurement_finds(model):
    settings = (
        *SMALL, STILL, f"model.path={model}", "evaluation.prompts=20", "loop.steps=60",
        "update.measure_parts=true", "loop.batch_size=32", "loop.total_budget=320",
    )  # fmt: skip
    config = load_config("tiny", settings)
    with trainer.open_learner(config) as (learner, _):
        measured = measure_gradients(learner, decide(learner, OPTIONS)).parts.overall
        assert learner.meter is not None
        learner.meter.running = RunningParts(span=float("inf"))
        loop = Loop(learner, config.loop, seed=1)
        for _ in range(50):
            record = loop.advance(make_allocator("uniform"))
    for name in ("own", "within", "shared"):
        part = getattr(measured, name)
        assert 0.7 * part.low < record.learner[name] < 1.4 * part.high, name
    assert record.learner["own_over_within"] == pytest.approx(measured.ratio, rel=0.5)
