"""Rollout engines: prompts and budgets -> token rollouts, with the policy's latest weights.

    config = EngineConfig(name="vllm", max_model_len=64)
    with make_engine(config, "models/tiny") as engine:
        engine.sync(model)
        rollouts = engine.generate(prompt_tokens, budgets, seeds, SamplingConfig(max_tokens=8))

Importing this package does not import vllm.
"""

from collections.abc import Callable
from pathlib import Path

from cobatrain.engines.base import (
    Engine,
    EngineConfig,
    EngineError,
    Rollouts,
    SamplingConfig,
)
from cobatrain.engines.hf_engine import HfEngine
from cobatrain.engines.process import SubprocessEngine
from cobatrain.engines.vllm_engine import VllmEngine, require_vllm

__all__ = [
    "ENGINES",
    "Engine",
    "EngineConfig",
    "EngineError",
    "HfEngine",
    "Rollouts",
    "SamplingConfig",
    "SubprocessEngine",
    "VllmEngine",
    "make_engine",
]

ENGINES: dict[str, Callable[[EngineConfig, str | Path], Engine]] = {
    "vllm": VllmEngine,
    "transformers": HfEngine,
}


def make_engine(config: EngineConfig, model_path: str | Path) -> Engine:
    """Start the engine that `config` describes on the model folder `model_path`.

    Raises:
        ValueError: the folder is no model folder.
        EngineError: the engine's package is missing (the message gives the install command and the
            fallback), or it did not start.
    """
    if config.name == "vllm":
        require_vllm()
    if config.subprocess:
        return SubprocessEngine(config, model_path)
    return ENGINES[config.name](config, model_path)
