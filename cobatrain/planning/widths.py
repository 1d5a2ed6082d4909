"""In what width an update computes: bytes of a number, by setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Widths:
    """Bytes of a number in each place of an update."""

    weights: int
    """Of weights, gradients and Adam's moments: torch keeps all three in the weights' type."""
    products: int
    """Of the inputs and outputs of matrix products."""
    stream: int
    """Of what runs from layer to layer."""
    adapters: int
    """Of the inputs and outputs of LoRA's products: its weights are float32."""
    sharded: bool
    """Whether weights are sharded: they are then gathered in the width of products."""
    shards: int = 1
    """How many GPUs hold one model together."""

    @property
    def autocast(self) -> bool:
        """Whether torch's autocast casts the weights, and every input of a product anew."""
        return self.products < self.stream


def widths(config: TrainConfig, gpus: int, nodes: int = 1) -> Widths:
    """The widths of a config's updates on so many GPUs, as ``update`` and ``shard`` set them.

    ``nodes`` machines have ``gpus`` GPUs in all.
    """
    weights = BYTES[config.model.dtype]
    sharded = config.parallel != "replicate" and gpus > 1
    shards = {"replicate": 1, "shard": gpus, "hybrid": gpus // nodes}[config.parallel]
    products = 2 if config.update.bf16 else weights
    adapters = 2 if config.update.bf16 else 4
    stream = products if sharded else weights
    return Widths(weights, products, stream, adapters, sharded, shards)
