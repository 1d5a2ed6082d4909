"""vLLM beside a process group of the trainer."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (docs/install-train.md)")
pytest.importorskip("transformers", reason="transformers is not installed (docs/install-train.md)")

from engine_setup import config_for
from optional import needs_vllm

from cobatrain.engines import EngineError
from cobatrain.engines.vllm_engine import VllmEngine


@needs_vllm
def test_vllm_refuses_to_share_a_process_group(tiny_folders, tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        with pytest.raises(EngineError, match="subprocess = true"):
            VllmEngine(config_for("vllm"), tiny_folders[False])
    finally:
        torch.distributed.destroy_process_group()
