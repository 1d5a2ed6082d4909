"""The mode in which an update runs its model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from cobasim.errors import InputError
from cobatrain.update.config import UpdateConfig


@contextmanager
def update_mode(model: nn.Module, config: UpdateConfig) -> Iterator[None]:
    """The model as an update runs it: without dropout, with checkpointing if it is on; then back.

    Raises InputError for a model that has no gradient checkpointing.
    """
    training = model.training
    try:
        model.train(config.gradient_checkpointing)
        if config.gradient_checkpointing:
            _enable_checkpointing(model)
        yield
    finally:
        model.train(training)


def _enable_checkpointing(model: nn.Module) -> None:
    enable = getattr(model, "gradient_checkpointing_enable", None)
    if enable is None:
        raise InputError(
            f"{type(model).__name__} has no gradient checkpointing: set gradient_checkpointing "
            "to false"
        )
    if not getattr(model, "is_gradient_checkpointing", False):
        enable(gradient_checkpointing_kwargs={"use_reentrant": False})
