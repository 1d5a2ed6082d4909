"""Main memory of a machine, all processes together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cobatrain.planning.engine_memory import engine_width
from cobatrain.planning.shape import ModelShape
from cobatrain.planning.widths import BYTES

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig


_FLOAT32 = 4


def host_memory(config: TrainConfig, shape: ModelShape, gpus: int) -> dict[str, int]:
    """Bytes by what takes them; ``peak`` is the most that is there at once.

    - ``loading``: every process reads the whole model before it moves to its GPU;
    - ``sync``: an engine process gets the weights through a file in shared memory, beside which
      the trainer holds them whole, one of each for each process;
    - ``sleep``: the engines' weights at ``engine.sleep_level`` 1;
    - ``checkpoint``: what is trained and Adam's two moments, whole, on the first process.
    """
    whole = BYTES[config.model.dtype] * shape.parameters
    full = shape.adapters is None
    engine = config.engine
    asleep = engine.name == "vllm" and engine.sleep_level == 1
    parts = {
        "loading": gpus * whole * (2 if config.update.kl_coef > 0 and full else 1),
        "sync": 2 * gpus * whole if engine.subprocess else 0,
        "sleep": gpus * engine_width(config, shape) * shape.parameters if asleep else 0,
        "checkpoint": 3 * (whole if full else _FLOAT32 * shape.trained),
    }
    later = parts["sleep"] + max(parts["sync"], parts["checkpoint"])
    return parts | {"peak": max(parts["loading"], later)}
