"""The environment of an engine's process."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobatrain.engines import EngineConfig
from cobatrain.engines.process import engine_environment


@pytest.mark.parametrize(
    ("given", "config", "devices"),
    [
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2", "CUDA_VISIBLE_DEVICES": "4,6"}, {}, "6"),
        ({"LOCAL_RANK": "3", "MASTER_ADDR": "x"}, {}, "3"),
        ({"LOCAL_RANK": "1"}, {"visible_devices": "0,1"}, "0,1"),
        ({"CUDA_VISIBLE_DEVICES": "4,6"}, {}, "4,6"),
        ({}, {}, None),
    ],
)
def test_an_engine_gets_the_gpu_of_its_rank_and_nothing_of_its_group(given, config, devices):
    found = engine_environment(EngineConfig(**config), given)
    assert found.get("CUDA_VISIBLE_DEVICES") == devices
    assert not {"LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR"} & found.keys()
