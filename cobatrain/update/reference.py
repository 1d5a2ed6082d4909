"""Which weights of the KL term's model an update rounds before every use."""

from __future__ import annotations

from typing import Any

from torch import nn


def rounded_layers(model: Any) -> list[nn.Linear]:
    """Layers whose weights autocast casts before each use, and that nothing else reads.

    Linear ones, but for a head that is the embeddings too. To keep their weights cast changes no
    number where there is no backward.
    """
    embedding = model.get_input_embeddings().weight
    return [
        layer
        for layer in model.modules()
        if isinstance(layer, nn.Linear) and layer.weight is not embedding
    ]
