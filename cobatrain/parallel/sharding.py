"""A model on several ranks: replicated or FSDP2-sharded, and whole tensors out of it again."""

from __future__ import annotations

import gc
from collections.abc import Container, Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from cobatrain.parallel.ranks import Ranks


def replicate(model: nn.Module) -> Ranks:
    """Plain data parallelism: copy rank 0's parameters and buffers to all ranks, in place.

    The update then needs one all-reduce of the gradients. Raises InputError if there is no process
    group.
    """
    ranks = Ranks(sharded=False)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            dist.broadcast(tensor.data, src=0)
    return ranks


def shard(model: nn.Module, bf16: bool = False, mesh: DeviceMesh | None = None) -> Ranks:
    """FSDP2: ``fully_shard`` every decoder layer, then the rest, in place.

    Make the optimiser *afterwards*: parameters become DTensors. The layers are the modules that
    the model names in ``_no_split_modules`` (Hugging Face models do; without it the whole model
    is one unit). ``bf16`` gathers parameters and computes in bfloat16, gradients are reduced in
    float32; the weights that the optimiser sees keep their type. All ranks must hold the same
    weights beforehand (load the same folder). Raises InputError without a process group.
    """
    ranks = Ranks(sharded=True)
    device = next(model.parameters()).device.type
    mesh = mesh or init_device_mesh(device, (ranks.world,))
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if bf16
        else MixedPrecisionPolicy()
    )
    names = set(getattr(model, "_no_split_modules", None) or ())
    layers = [module for module in model.modules() if type(module).__name__ in names]
    for module in [*layers, model]:
        fully_shard(module, mesh=mesh, mp_policy=policy)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)
    return ranks


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


def load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load a state of whole tensors into the optimiser, sharded as its parameters are.

    Collective if they are sharded; every rank must give the same state.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    restored = {}
    for index, values in state["state"].items():
        parameter = parameters[int(index)]
        restored[index] = {
            name: distribute_tensor(
                value.to(parameter.device), parameter.device_mesh, parameter.placements
            )
            if isinstance(parameter, DTensor)
            and isinstance(value, Tensor)
            and value.shape == parameter.shape
            else value
            for name, value in values.items()
        }
    optimiser.load_state_dict({**state, "state": restored})
