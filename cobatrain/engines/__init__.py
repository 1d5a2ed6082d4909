"""Rollout engines: prompts and budgets enter, token rollouts of the latest weights leave.

    config = EngineConfig(name="vllm", max_model_len=64)
    with make_engine(config, "models/tiny") as engine:
        engine.sync(model)
        rollouts = engine.generate(prompt_tokens, budgets, seeds, SamplingConfig(max_tokens=8))

Importing this package does not import vllm.
"""

from cobatrain.engines.base import Engine, EngineError
from cobatrain.engines.config import EngineConfig, SamplingConfig
from cobatrain.engines.hf_engine import HfEngine
from cobatrain.engines.model_folder import end_token_ids
from cobatrain.engines.process import SubprocessEngine
from cobatrain.engines.registry import ENGINES, make_engine
from cobatrain.engines.rollouts import Rollouts
from cobatrain.engines.sampling import sample
from cobatrain.engines.syncing import sync_engines
from cobatrain.engines.vllm_engine import VllmEngine
from cobatrain.engines.weights import PART_BYTES

__all__ = [
    "ENGINES",
    "PART_BYTES",
    "Engine",
    "EngineConfig",
    "EngineError",
    "HfEngine",
    "Rollouts",
    "SamplingConfig",
    "SubprocessEngine",
    "VllmEngine",
    "end_token_ids",
    "make_engine",
    "sample",
    "sync_engines",
]
