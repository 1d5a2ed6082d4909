"""Main memory of a machine, all processes together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cobatrain.engines import PART_BYTES
from cobatrain.planning.engine_memory import engine_width
from cobatrain.planning.shape import ModelShape
from cobatrain.planning.widths import BYTES

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig


_FLOAT32 = 4


def host_memory(config: TrainConfig, shape: ModelShape, gpus: int) -> dict[str, int]:
    """Bytes by what takes them; ``peak`` is the most that is there at once.

    - ``loading``: every process reads the whole model before it moves to its GPU;
    - ``sync``: engine processes read the weights, in their own type, from files in shared memory
      that one trainer process writes, about 1 GiB at a time;
    - ``sleep``: the engines' weights at ``engine.sleep_level`` 1;
    - ``checkpoint``: what is trained and Adam's two moments, whole, on the first process.
    """
    whole = BYTES[config.model.dtype] * shape.parameters
    full = shape.adapters is None
    engine = config.engine
    sent = engine_width(config, shape) * shape.parameters
    asleep = engine.name == "vllm" and engine.sleep_level == 1
    parts = {
        "loading": gpus * whole * (2 if config.update.kl_coef > 0 and full else 1),
        "sync": (sent + min(sent, PART_BYTES)) if engine.subprocess else 0,
        "sleep": gpus * sent if asleep else 0,
        "checkpoint": 3 * (whole if full else _FLOAT32 * shape.trained),
    }
    later = parts["sleep"] + max(parts["sync"], parts["checkpoint"])
    return parts | {"peak": max(parts["loading"], later)}
