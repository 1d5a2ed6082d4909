"""Memory of one policy update on one GPU: what is there all the time, and its moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cobatrain.planning.activations import head_bytes, kept_bytes, layer_bytes, working_bytes
from cobatrain.planning.shape import ModelShape
from cobatrain.planning.widths import Widths, widths

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig

_FLOAT32 = 4


@dataclass(frozen=True)
class Moment:
    """A moment of a step at which memory can be at its peak, on one GPU.

    ``parts`` are bytes by name, in the order of ``PARTS``; those that are missing are 0.
    """

    name: str
    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return sum(self.parts.values())


PARTS = (
    "weights",
    "gradients",
    "optimiser",
    "reference",
    "copies",
    "activations",
    "logits",
    "engine",
    "overhead",
)
"""Of memory, in the order in which they are shown. ``copies``: weights that are gathered from other
GPUs or cast for autocast, gradients not yet summed over GPUs, and what Adam's step works with."""


def resident(config: TrainConfig, shape: ModelShape, gpus: int, nodes: int = 1) -> dict[str, int]:
    """Bytes that the trainer holds between updates: weights, Adam's two moments, the reference.

    Signs of the sketch that ``measure_parts`` keeps count as the optimiser's. Frozen weights have
    no moments, and a model with adapters is its own reference.
    """
    width = widths(config, gpus, nodes)
    own = _share(shape.parameters, width)
    trained = _trained_bytes(shape, width)
    signs = _share(shape.trained, width) if config.measures_parts else 0
    weights = width.weights * own + (0 if shape.adapters is None else trained)
    parts = {"weights": weights, "optimiser": 2 * trained + signs}
    if config.update.kl_coef > 0 and shape.adapters is None:
        # under bf16 what is cast before every use anyway is kept so: see ``load_reference``
        kept = width.products if width.sharded else width.weights
        saved = (width.weights - width.products) * shape.linear if width.autocast else 0
        parts["reference"] = kept * own - saved
    return parts


def certain_bytes(config: TrainConfig, shape: ModelShape, gpus: int, nodes: int = 1) -> int:
    """Weights, gradients and Adam's two moments on one GPU: no update does without them."""
    width = widths(config, gpus, nodes)
    trained = _trained_bytes(shape, width)
    frozen = 0 if shape.adapters is None else width.weights * _share(shape.parameters, width)
    return frozen + 4 * trained


def _trained_bytes(shape: ModelShape, width: Widths) -> int:
    """Of the trained parameters on one GPU; their gradients, and each moment, have as many."""
    each = width.weights if shape.adapters is None else _FLOAT32
    return each * _share(shape.trained, width)


def _share(parameters: int, width: Widths) -> int:
    """How many of so many parameters one GPU holds."""
    return -(-parameters // width.shards)


def longest_micro_batch(config: TrainConfig, gpus: int) -> int:
    """Tokens of the largest micro-batch that an update may meet, padding included.

    ``update.micro_tokens``, or one longest rollout, which goes alone; never more than all rollouts
    of a step that one process has.
    """
    longest = config.engine.max_model_len
    rollouts = -(-config.loop.total_budget // gpus)
    return min(max(config.update.micro_tokens, longest), rollouts * longest)


def update_moments(
    config: TrainConfig, shape: ModelShape, gpus: int, tokens: int | None = None, nodes: int = 1
) -> list[Moment]:
    """The moments of an update: at the head, inside a layer, at the root, in the optimiser's step.

    ``tokens`` of the micro-batch; None: ``longest_micro_batch``. Without engine and overhead.
    """
    width = widths(config, gpus, nodes)
    count = longest_micro_batch(config, gpus) if tokens is None else tokens
    base = resident(config, shape, gpus, nodes)
    base["gradients"] = trained = _trained_bytes(shape, width)
    moments = [
        Moment("update: head", base | _head(config, shape, width, count)),
        Moment("update: layers", base | _layers(config, shape, width, count)),
    ]
    if width.sharded:
        moments.append(Moment("update: root", base | _root(config, shape, width)))
    # torch's AdamW makes a copy of one moment while it steps (its default on GPUs, foreach)
    moments.append(Moment("update: step", base | {"copies": trained}))
    return moments


def activation_bytes(
    config: TrainConfig, shape: ModelShape, gpus: int, *, checkpointing: bool, nodes: int = 1
) -> int:
    """Bytes of the activations of the largest micro-batch, if checkpointing were on or off."""
    update = config.update.model_copy(update={"gradient_checkpointing": checkpointing})
    chosen = config.model_copy(update={"update": update})
    moments = update_moments(chosen, shape, gpus, nodes=nodes)
    return max(moment.parts.get("activations", 0) for moment in moments)


def planned_update_bytes(
    config: TrainConfig,
    shape: ModelShape,
    *,
    gpus: int = 1,
    tokens: int | None = None,
    nodes: int = 1,
) -> int:
    """Bytes that the trainer's tensors take at the peak of an update on one GPU.

    To be compared with ``torch.cuda.max_memory_allocated()`` of a process that holds no engine: it
    leaves out what the driver, libraries and the allocator's gaps take, and engines elsewhere.

    Args:
        config: the run.
        shape: of its model, from ``model_shape`` or ``shape_of``.
        gpus: processes, one a GPU.
        tokens: of the largest micro-batch, padding included; None: the largest that the config
            allows.
        nodes: machines that these GPUs are in, equally many in each.
    """
    return max(moment.total for moment in update_moments(config, shape, gpus, tokens, nodes))


def loading_bytes(
    config: TrainConfig, shape: ModelShape, gpus: int, nodes: int = 1
) -> dict[str, int]:
    """Bytes while the model, and the reference after it, come to this GPU: parts by name.

    Sharded, one layer at a time is whole, or all that is outside them.
    """
    width = widths(config, gpus, nodes)
    parts = resident(config, shape, gpus, nodes)
    del parts["optimiser"]
    if width.sharded:
        parts["copies"] = width.weights * max(shape.layer, shape.root)
    return parts


def _head(config: TrainConfig, shape: ModelShape, width: Widths, tokens: int) -> dict[str, int]:
    """The forward pass is done: the first chunk of logits runs backward."""
    logits = min(max(config.update.logit_chunk, shape.vocabulary), tokens * shape.vocabulary)
    hidden = tokens * width.stream * shape.hidden  # gradient of the hidden states
    checkpointing = config.update.gradient_checkpointing
    kept = kept_bytes(shape, width, checkpointing=checkpointing) + head_bytes(shape, width)
    copies = 1 if width.products == _FLOAT32 else 2  # in float32: scaled, and their probabilities
    chunk = (width.products + copies * _FLOAT32) * logits
    parts = {"activations": tokens * kept, "logits": chunk + hidden}
    full = shape.adapters is None
    if width.sharded:
        gradient = shape.head if full else 0
        again = shape.root if full and config.update.kl_coef > 0 else 0  # while the reference runs
        gathered = shape.root + shape.layer + shape.head + gradient + again
        parts["copies"] = width.products * gathered
    else:
        cast = width.products * shape.products if width.autocast else 0
        other = width.products * (shape.products - shape.linear) if width.autocast else 0
        reference = other if config.update.kl_coef > 0 and full else 0
        parts["copies"] = cast + reference + (width.weights * shape.head if full else 0)
    return parts


def _layers(config: TrainConfig, shape: ModelShape, width: Widths, tokens: int) -> dict[str, int]:
    """A layer runs backward, the last one, when all others are kept still."""
    checkpointing = config.update.gradient_checkpointing
    trained = shape.layer if shape.adapters is None else shape.layer_adapters.numbers
    kept = kept_bytes(shape, width, checkpointing=checkpointing) + working_bytes(shape, width)
    if checkpointing:
        kept += layer_bytes(shape, width)  # recomputed
    parts = {"activations": tokens * kept}
    if width.sharded:
        # this layer and the next gathered, this layer's gradient, and its sum over GPUs in float32
        reduced = _FLOAT32 if config.update.bf16 else width.weights
        gradient = (width.products + reduced) * trained
        layer = 2 * width.products * shape.layer + gradient
        parts["copies"] = width.products * (shape.root + shape.head) + layer
    elif width.autocast:
        layer = 2 * shape.layer if checkpointing else shape.products
        parts["copies"] = width.products * layer + _FLOAT32 * trained
    return parts


def _root(config: TrainConfig, shape: ModelShape, width: Widths) -> dict[str, int]:
    """The gradients of embeddings and head are summed over GPUs; no activation is left."""
    if shape.adapters is not None:
        return {"copies": width.products * shape.root}  # gathered; frozen
    reduced = _FLOAT32 if config.update.bf16 else width.weights
    return {"copies": (2 * width.products + reduced) * shape.root}
