"""Memory of the rollout engine on one GPU, and how many tokens its cache holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cobatrain.planning.hardware import GIB
from cobatrain.planning.shape import ModelShape
from cobatrain.planning.widths import BYTES

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig

ENGINE_WORK = 2 * GIB
"""What vLLM takes of its share for a batch's activations, sampling and CUDA: an assumption."""

_FLOAT32 = 4
_SAMPLING_COPIES = 3  # of the logits of all running sequences: scaled, sorted or summed, drawn


@dataclass(frozen=True)
class EngineMemory:
    """Bytes of the engine on one GPU."""

    awake: int
    """While it generates."""
    asleep: int
    """While the trainer trains."""
    weights: int
    """Of its copy of the model, part of both unless it sleeps."""
    cache: int
    """Left for keys and values; negative if the weights alone are too much."""
    cache_token: int
    """Of the keys and values of one token."""

    @property
    def cache_tokens(self) -> int:
        """How many tokens the cache holds."""
        return max(0, self.cache) // self.cache_token


def engine_width(config: TrainConfig, shape: ModelShape) -> int:
    """Bytes of one of the engine's weights."""
    dtype = config.engine.dtype
    return shape.stored_bytes if dtype == "auto" else BYTES[dtype]


def engine_memory(
    config: TrainConfig, shape: ModelShape, gpus: int, card_bytes: int
) -> EngineMemory:
    """The engine of one process on a card of so many bytes.

    vLLM takes ``gpu_memory_utilization`` of the card and gives it back as ``sleep_level`` says;
    what is left of it beside weights and ``ENGINE_WORK`` is cache. The transformers engine has a
    whole copy of the model, and a cache as large as its running sequences can need.
    """
    engine = config.engine
    width = engine_width(config, shape)
    weights = width * shape.parameters // engine.tensor_parallel_size
    cache_token = 2 * width * shape.layers * shape.key
    if engine.name == "vllm":
        cache_token = -(-cache_token // engine.tensor_parallel_size)
        taken = int(engine.gpu_memory_utilization * card_bytes)
        asleep = 0 if engine.sleep_level else taken
        return EngineMemory(taken, asleep, weights, taken - weights - ENGINE_WORK, cache_token)
    weights = width * shape.parameters
    sequences = min(engine.max_num_seqs, -(-config.loop.total_budget // gpus))
    cache = sequences * engine.max_model_len * cache_token
    logits = _SAMPLING_COPIES * _FLOAT32 * sequences * shape.vocabulary
    return EngineMemory(weights + cache + logits, weights, weights, cache, cache_token)
