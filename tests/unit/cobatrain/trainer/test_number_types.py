"""Steps that a type rounds away are pointed out; the threshold is that of the type."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobatrain.config import load_config
from cobatrain.trainer.number_types import (
    HALF_STEP,
    TYPICAL_WEIGHT,
    warn_of_coarse_weights,
    warn_of_slow_bfloat16,
)


def said(*settings: str) -> list[str]:
    lines: list[str] = []
    warn_of_coarse_weights(load_config("tiny", list(settings)), lines.append)
    return lines


def test_only_small_steps_of_bfloat16_weights_are_pointed_out():
    assert not said("model.dtype=float32", "update.learning_rate=1e-6")
    assert not said("model.dtype=bfloat16", "update.learning_rate=1e-4")
    [line] = said("model.dtype=bfloat16", "update.learning_rate=1e-6")
    assert "update.bf16" in line


def test_the_threshold_is_where_bfloat16_rounds_a_step_away():
    weight = torch.tensor(TYPICAL_WEIGHT, dtype=torch.bfloat16)
    spacing = HALF_STEP * 2 ** float(torch.log2(weight.float()).floor() + 1)
    assert weight + torch.tensor(0.4 * spacing, dtype=torch.bfloat16) == weight
    assert weight + torch.tensor(1.1 * spacing, dtype=torch.bfloat16) != weight


@pytest.mark.parametrize("fast", [True, False])
def test_bfloat16_is_pointed_out_where_the_processor_is_slow_at_it(monkeypatch, fast):
    monkeypatch.setattr("cobatrain.trainer.number_types.has_fast_bfloat16", lambda: fast)

    def said(name: str, *settings: str) -> list[str]:
        lines: list[str] = []
        warn_of_slow_bfloat16(load_config(name, list(settings)), lines.append)
        return lines

    assert not said("tiny", "model.device=cpu")
    assert not said("smollm2", "model.device=cuda")
    lines = said("smollm2", "model.device=cpu")
    if fast:
        assert not lines
        return
    [line] = lines
    instead = line.rpartition(" set ")[2].split(", ")
    assert instead == ["update.bf16=false", "engine.dtype=float32"]
    assert not said("smollm2", "model.device=cpu", *instead)
