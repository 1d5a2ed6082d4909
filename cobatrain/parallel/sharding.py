"""A model on several ranks: replicated or FSDP2-sharded, and whole tensors out of it again."""

from __future__ import annotations

import gc
from collections.abc import Container, Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from cobatrain.parallel.delivery import Delivery
from cobatrain.parallel.ranks import Parallel, Ranks


def replicate(model: nn.Module, device: str | None = None) -> Ranks:
    """Plain data parallelism: rank 0's parameters and buffers on all ranks, in place.

    The update then needs one all-reduce of the gradients. Other ranks may give a model without
    weights (torch's meta device); ``device`` is that of all afterwards, None: where the model is.
    Raises InputError if there is no process group.
    """
    ranks = Ranks()
    Delivery(model, ranks, _device(model, device)).deliver()
    return ranks


def shard(
    model: nn.Module,
    bf16: bool = False,
    *,
    ranks: Ranks | None = None,
    device: str | None = None,
    trained: bool = True,
) -> Ranks:
    """FSDP2: rank 0's model on all ranks, ``fully_shard`` of every decoder layer, then of the rest.

    In place; make the optimiser *afterwards*: parameters become DTensors. Layers are sent and
    sharded in turn, so no rank but the first ever holds more than its shards and one of them (or
    all that is outside them). The others may give a model without weights (torch's meta device).

    Args:
        model: its layers are the modules that it names in ``_no_split_modules`` (Hugging Face
            models do; without it the whole model is one unit).
        bf16: gather parameters and compute in bfloat16; gradients are reduced in float32, and the
            weights that the optimiser sees keep their type.
        ranks: whose ``shards`` say over how many ranks a model is cut; None: over all.
        device: of the model afterwards; None: where it is.
        trained: whether backward runs through it. If not, what is outside the layers is given back
            after every forward pass too.

    Raises InputError without a process group.
    """
    ranks = ranks or Ranks("shard")
    place = _device(model, device)
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if bf16
        else MixedPrecisionPolicy()
    )
    mesh = ranks.mesh(place.type)
    delivery = Delivery(model, ranks, place)
    names = set(getattr(model, "_no_split_modules", None) or ())
    for name, module in model.named_modules():
        if type(module).__name__ in names:
            delivery.deliver(f"{name}.")
            fully_shard(module, mesh=mesh, mp_policy=policy)
    delivery.deliver()
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=None if trained else True)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)
    return ranks


def _device(model: nn.Module, device: str | None) -> torch.device:
    return next(model.parameters()).device if device is None else torch.device(device)


def release_memory() -> None:
    """Return GPU memory that torch keeps but does not use, so that an engine beside it can have it.

    Nothing on a CPU.
    """
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def full_parameters(
    model: nn.Module, names: Container[str] | None = None
) -> Iterator[tuple[str, Tensor]]:
    """(name, whole tensor) of every parameter, or of those in ``names``, one at a time.

    Collective for a sharded model: every rank must go through all of them.
    """
    for name, parameter in model.named_parameters():
        if names is not None and name not in names:
            continue
        value = parameter.detach()
        yield name, value.full_tensor() if isinstance(value, DTensor) else value


def whole(value: Any, keep: bool = True) -> Any:
    """Nested dicts and lists with every sharded tensor gathered, on the CPU. Collective.

    With ``keep`` false this rank takes part in the gathering but keeps no tensor: None instead.
    """
    if isinstance(value, Mapping):
        return {name: whole(item, keep) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole(item, keep) for item in value]
    if isinstance(value, Tensor):
        full = value.detach()
        if isinstance(full, DTensor):
            full = full.full_tensor()
        return full.cpu() if keep else None
    return value


def load_optimiser(
    optimiser: torch.optim.Optimizer, state: Mapping[str, Any], parallel: Parallel
) -> None:
    """Load a state of whole tensors into the optimiser, laid out as its parameters are. Collective.

    Only rank 0 gives values, as ``load_state`` does: the tensors of the others say shape and type.
    Every rank keeps its own part.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    restored = {
        index: {
            name: _own_part(value, parameters[int(index)], parallel)
            if isinstance(value, Tensor) and value.ndim > 0
            else value
            for name, value in values.items()
        }
        for index, values in state["state"].items()
    }
    optimiser.load_state_dict({**state, "state": restored})


def _own_part(value: Tensor, parameter: Tensor, parallel: Parallel) -> Tensor:
    """What this rank keeps of rank 0's ``value``, which has the parameter's shape. Collective."""
    device = parameter.device
    if parallel.rank == 0:
        whole = value.to(device, copy=True)  # the file that it may be mapped from can then go
    else:
        whole = torch.empty(value.shape, dtype=value.dtype, device=device)
    if isinstance(parameter, DTensor):
        return distribute_tensor(whole, parameter.device_mesh, parameter.placements)
    if parallel.world > 1:
        dist.broadcast(whole, src=0)
    return whole
