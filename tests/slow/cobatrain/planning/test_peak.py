"""The planned peak of an update is that of its tensors, followed one by one."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from planned_models import MODES, planned_config, small_model, tracked_peak

from cobatrain.planning import planned_update_bytes, shape_of


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "checkpointing"), [("qwen2", False), ("qwen3", True)])
def test_the_peak_of_an_update_is_that_of_its_tensors(kind, mode, checkpointing):
    model = small_model(kind, mode, hidden_size=256, intermediate_size=1024, num_hidden_layers=4)
    flag = f"update.gradient_checkpointing={str(checkpointing).lower()}"
    planned = planned_update_bytes(planned_config(mode, flag), shape_of(model), tokens=2 * 512)
    tracked = tracked_peak(model, mode, 2, 512, checkpointing=checkpointing)
    assert tracked <= planned <= 1.12 * tracked


@pytest.mark.parametrize(
    ("mode", "chunk"), [*((mode, 2**23) for mode in MODES), (sorted(MODES)[0], 2**26)]
)
def test_the_peak_where_logits_make_it(mode, chunk):
    sizes = {"hidden_size": 128, "intermediate_size": 256, "vocab_size": 30_000}
    model = small_model("qwen3", mode, num_hidden_layers=2, **sizes)
    config = planned_config(mode, f"update.logit_chunk={chunk}")
    planned = planned_update_bytes(config, shape_of(model), tokens=2 * 512)
    tracked = tracked_peak(model, mode, 2, 512, checkpointing=False, chunk=chunk)
    assert tracked <= planned <= 1.12 * tracked
