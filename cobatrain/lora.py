"""LoRA: low-rank adapters beside frozen linear layers, by peft (Hu et al. 2021, arXiv 2106.09685).

A layer W becomes W + alpha / rank * B A, with A (rank, inputs) and B (outputs, rank); only A and B
are trained. B starts at 0, so the model starts as the one that was loaded. Whoever needs plain
weights (engines, export) gets each layer's sum when its turn comes; the trained model stays as it
is.

In: a model and which of its layers. Out: the same model with adapters, plain weights of layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from cobasim.errors import InputError
from cobasim.settings import Frozen

_NAME = "default"  # of the adapters, to peft
_BASE = ".base_layer."
_ADAPTERS = (".lora_A.", ".lora_B.")


class LoraConfig(Frozen):
    """Adapters instead of weights are trained. There is no dropout: updates have none.

    ``targets`` are the last parts of names of linear layers, such as ``q_proj``; none given: all
    but the output layer.
    """

    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0  # adapters count alpha / rank times
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class AdapterSize:
    """Numbers of one decoder layer's adapters, or of a whole model's."""

    numbers: int = 0
    """That are trained."""
    inputs: int = 0
    """Widths of the adapted layers' inputs, summed."""
    ranks: int = 0
    """The rank, once for each adapted layer."""


def adapter_size(
    model: nn.Module, config: LoraConfig, within: nn.Module | None = None
) -> AdapterSize:
    """What adapters of ``model`` would have, or of its part ``within``; its tensors are not read.

    Raises InputError for a target that the model does not have.
    """
    here = None if within is None else {id(module) for module in within.modules()}
    layers = [
        layer for layer in _targets(model, config).values() if here is None or id(layer) in here
    ]
    return AdapterSize(
        numbers=config.rank * sum(layer.in_features + layer.out_features for layer in layers),
        inputs=sum(layer.in_features for layer in layers),
        ranks=config.rank * len(layers),
    )


def add_adapters(model: nn.Module, config: LoraConfig, seed: int) -> None:
    """Put adapters into ``model``, in place, and freeze everything else.

    Adapters are float32 at least. A is drawn from ``seed`` alone, alike on every device and rank.
    Raises InputError without peft, and for a target that the model does not have.
    """
    names = list(_targets(model, config))
    try:
        import peft
    except ImportError:
        raise InputError(
            "model.lora needs the package peft: pip install peft (part of the extra `train`)"
        ) from None
    alpha: Any = config.alpha  # peft says int, and divides it
    settings = peft.LoraConfig(
        r=config.rank, lora_alpha=alpha, lora_dropout=0.0, bias="none", target_modules=names
    )
    with torch.random.fork_rng(devices=[]):  # peft draws A from the global generator
        peft.inject_adapter_in_model(settings, model, adapter_name=_NAME)
    generator = torch.Generator().manual_seed(seed)
    for layer in adapted_layers(model).values():
        for part in (layer.lora_A, layer.lora_B):
            weight = part[_NAME].weight
            part.to(torch.promote_types(weight.dtype, torch.float32))
        drawn = torch.empty(layer.lora_A[_NAME].weight.shape)
        nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
        with torch.no_grad():
            layer.lora_A[_NAME].weight.copy_(drawn)
            layer.lora_B[_NAME].weight.zero_()


def _targets(model: nn.Module, config: LoraConfig) -> dict[str, nn.Linear]:
    """The layers to adapt, by their names in the model."""
    find: Any = getattr(model, "get_output_embeddings", lambda: None)
    head = find()
    linear = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and layer is not head
    }
    kinds = sorted({name.rpartition(".")[2] for name in linear})
    if not kinds:
        raise InputError(f"model.lora: {type(model).__name__} has no linear layers to adapt")
    for target in config.targets:
        if target not in kinds:
            raise InputError(
                f"model.lora.targets: no linear layer is named {target!r}; the model has "
                f"{', '.join(kinds)}"
            )
    chosen = config.targets or kinds
    return {name: layer for name, layer in linear.items() if name.rpartition(".")[2] in chosen}


def adapted_layers(model: nn.Module) -> dict[str, Any]:
    """Layers with adapters, by name; empty for a plain model."""
    return {
        name: module
        for name, module in model.named_modules()
        if hasattr(module, "base_layer") and hasattr(module, "lora_A")
    }


def plain_parameters(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """(name, whole tensor) of every parameter of the model as it would be without adapters.

    An adapted layer's weight is W + alpha / rank * B A, a new tensor; the others are the model's
    own, detached. Sharded ones are gathered in turn: all ranks must run through the iterator.
    """
    layers = adapted_layers(model)
    for name, parameter in model.named_parameters():
        if layers and any(part in name for part in _ADAPTERS):
            continue
        whole = _whole(parameter)
        if layers and _BASE in name:
            layer, _, last = name.rpartition(_BASE)
            name = f"{layer}.{last}"
            if last == "weight":
                whole = _merged(whole, layers[layer])
        yield name, whole


def _merged(weight: Tensor, layer: Any) -> Tensor:
    first, last = _whole(layer.lora_A[_NAME].weight), _whole(layer.lora_B[_NAME].weight)
    added = (last @ first) * layer.scaling[_NAME]
    merged: Tensor = (weight.to(added.dtype) + added).to(weight.dtype)
    return merged


def _whole(parameter: Tensor) -> Tensor:
    full = parameter.detach()
    gathered: Tensor = full.full_tensor() if hasattr(full, "full_tensor") else full
    return gathered


def merge_adapters(model: nn.Module) -> None:
    """Make a model with adapters a plain one that computes the same, in place; others stay."""
    layers = adapted_layers(model)
    for name, layer in layers.items():
        with torch.no_grad():
            layer.base_layer.weight.copy_(_merged(layer.base_layer.weight, layer))
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, layer.base_layer)
    if layers:
        del model.peft_config


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """The model computes as it was loaded, without its adapters; a plain model as ever."""
    layers: Iterable[Any] = adapted_layers(model).values()
    for layer in layers:
        layer.forward = layer.base_layer.forward
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the class's own again
