"""The engines by name, and how a config becomes one of them."""

from collections.abc import Callable
from pathlib import Path

from cobatrain.engines.base import Engine
from cobatrain.engines.config import EngineConfig
from cobatrain.engines.hf_engine import HfEngine
from cobatrain.engines.process import SubprocessEngine
from cobatrain.engines.vllm_engine import VllmEngine, require_vllm

ENGINES: dict[str, Callable[[EngineConfig, str | Path], Engine]] = {
    "vllm": VllmEngine,
    "transformers": HfEngine,
}
"""Name -> the engine, in this process."""


def make_engine(config: EngineConfig, model_path: str | Path) -> Engine:
    """Start the engine that `config` describes on the model folder `model_path`.

    Raises:
        ValueError: the folder is not a model folder.
        EngineError: the engine's package is missing (the message gives the install command and the
            fallback), or it did not start.
    """
    if config.name == "vllm":
        require_vllm()
    if config.subprocess:
        return SubprocessEngine(config, model_path)
    return ENGINES[config.name](config, model_path)
