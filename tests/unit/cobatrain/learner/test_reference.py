"""The reference of the KL term: half the memory under bfloat16, and the same numbers."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import numpy as np
from planned_models import planned_config, small_model

from cobasim.errors import InputError
from cobatrain.learner import load_reference
from cobatrain.planning import resident, shape_of
from cobatrain.update import pad, token_log_probs


@pytest.mark.parametrize("tied", [False, True])
def test_the_reference_takes_what_is_planned_and_changes_no_number(tmp_path, tied):
    model = small_model("qwen3", "float32", tied=tied).eval()
    shape, where = shape_of(model), f"model.path={tmp_path}"
    model.save_pretrained(tmp_path)
    micro = pad([[1, 2, 3], [4]], [[5, 6], [7, 8, 9]], [[0.0] * 2, [0.0] * 3], np.arange(2), "cpu")
    for mode in ("float32", "bfloat16", "mixed"):
        config = planned_config(mode, where, "update.kl_coef=0.1")
        kept = load_reference(config)
        held = sum(p.numel() * p.element_size() for p in kept.parameters())
        assert held == resident(config, shape, 1)["reference"]
        assert not any(p.requires_grad for p in kept.parameters())
        if mode == "mixed":
            assert 2 * shape.parameters < held < 4 * shape.parameters
            with torch.no_grad():
                ours, _ = token_log_probs(kept, micro, 1.0, bf16=True)
                wide, _ = token_log_probs(model, micro, 1.0, bf16=True)
            assert torch.equal(ours, wide)  # to the bit
            assert ours.any()
        cut = load_reference(config, sharded=True)
        assert {p.dtype for p in cut.parameters()} == {
            torch.float32 if mode == "float32" else torch.bfloat16
        }
        for (_, buffer), (_, other) in zip(cut.named_buffers(), model.named_buffers(), strict=True):
            assert torch.equal(buffer, other)
            assert buffer.dtype == other.dtype == torch.float32  # sharding casts none either
        empty = load_reference(config, empty=True)
        assert {p.device.type for p in empty.parameters()} == {"meta"}
        assert {n: p.dtype for n, p in empty.named_parameters()} == {
            n: p.dtype for n, p in kept.named_parameters()
        }


def test_a_folder_without_a_model_is_refused_alike_on_all_ranks(tmp_path):
    for empty in (False, True):
        with pytest.raises(InputError, match="is not a folder with a causal language model"):
            load_reference(planned_config("float32", f"model.path={tmp_path}"), empty=empty)
