"""Steps that a type rounds away are pointed out; the threshold is that of the type."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobatrain.config import load_config
from cobatrain.trainer.coarse_weights import HALF_STEP, TYPICAL_WEIGHT, warn_of_coarse_weights


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
