"""Main memory of the machine of rank 0, all its processes together."""

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
    """Bytes by what takes them, with ``gpus`` processes here; ``peak`` is the most at once.

    - ``loading``: rank 0 reads the whole model, and the reference after it;
    - ``sync``: engine processes read the weights, in their own type, from files in shared memory
      that one trainer process writes, about 1 GiB at a time;
    - ``sleep``: the engines' weights at ``engine.sleep_level`` 1;
    - ``checkpoint``: what is trained and Adam's two moments, whole, on rank 0.
    """
    whole = BYTES[config.model.dtype] * shape.parameters
    full = shape.adapters is None
    engine = config.engine
    sent = engine_width(config, shape) * shape.parameters
    asleep = engine.name == "vllm" and engine.sleep_level == 1
    parts = {
        "loading": whole,
        "sync": (sent + min(sent, PART_BYTES)) if engine.subprocess else 0,
        "sleep": gpus * sent if asleep else 0,
        "checkpoint": 3 * (whole if full else _FLOAT32 * shape.trained),
    }
    later = parts["sleep"] + max(parts["sync"], parts["checkpoint"])
    return parts | {"peak": max(parts["loading"], later)}
