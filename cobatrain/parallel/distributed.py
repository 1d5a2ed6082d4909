"""Several processes: one engine and one replica or shard of the model per rank.

Started with ``torchrun``; ``gloo`` on CPU, ``nccl`` on GPUs. Gradients are *summed* over ranks:
the loss weights of ``cobatrain.update.advantages`` are shares of the whole batch, over all ranks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from cobasim.arrays import IntArray
from cobasim.errors import InputError

Result = TypeVar("Result")

BUCKET_ELEMENTS = 2**24
"""Gradients are all-reduced in buckets of about this many numbers."""


def balance(budgets: ArrayLike, world: int) -> IntArray:
    """How many rollouts of each prompt each rank makes: (world, m), from budgets (m,).

    Column sums are the budgets; row sums differ by at most 1, whatever the budgets, so a group may
    be split over ranks. Rollouts are dealt in turn rather than in blocks: each prompt, and so each
    response length, is spread as evenly as it can be, at the price that several ranks read the
    same prompt. Raises InputError.
    """
    if world < 1:
        raise InputError(f"the number of ranks must be at least 1, got {world}")
    counts = np.asarray(budgets)
    if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise InputError(
            f"budgets must be a flat array of whole numbers >= 0, got {counts.dtype} {counts.shape}"
        )
    end = np.cumsum(counts, dtype=np.int64)
    rank = np.arange(world)[:, None]

    def dealt(before: IntArray) -> IntArray:  # of rollouts 0 .. before-1, those dealt to each rank
        return (before - rank + world - 1) // world

    return dealt(end) - dealt(end - counts)


def first_rollouts(assignment: IntArray) -> IntArray:
    """The number, within its group, of each rank's first rollout of each prompt: (world, m).

    For seeds per rollout: rank r makes rollouts first .. first + assignment[r, i] - 1 of prompt i,
    so that no two ranks use one seed.
    """
    return np.cumsum(assignment, axis=0) - assignment


class Parallel(Protocol):
    """What the update needs of the other ranks. All methods but the fields are collective."""

    rank: int
    world: int
    sharded: bool
    """Whether forward and backward communicate, so that ranks must run equally many of them."""

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, in rank order, on every rank."""

    def total(self, values: Tensor) -> Tensor:
        """The sum over ranks."""

    def largest(self, values: Tensor) -> Tensor:
        """The maximum over ranks."""

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum every ``.grad`` over ranks, in place, where backward did not do so."""


class Single:
    """One process: nothing to do."""

    rank = 0
    world = 1
    sharded = False

    def gather(self, value: Any) -> list[Any]:
        """``[value]``."""
        return [value]

    def total(self, values: Tensor) -> Tensor:
        """``values``."""
        return values

    def largest(self, values: Tensor) -> Tensor:
        """``values``."""
        return values

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Nothing."""


class Ranks:
    """The ranks of the default process group, with replicated or FSDP2-sharded parameters."""

    def __init__(self, sharded: bool) -> None:
        if not dist.is_initialized():
            raise InputError(
                "no process group: start the program with torchrun and call "
                "cobatrain.parallel.distributed.start() first"
            )
        self.rank = dist.get_rank()
        self.world = dist.get_world_size()
        self.sharded = sharded

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value (pickled), in rank order, on every rank."""
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def total(self, values: Tensor) -> Tensor:
        """The sum over ranks, a new tensor."""
        result = values.clone()
        dist.all_reduce(result, dist.ReduceOp.SUM)
        return result

    def largest(self, values: Tensor) -> Tensor:
        """The maximum over ranks, a new tensor."""
        result = values.clone()
        dist.all_reduce(result, dist.ReduceOp.MAX)
        return result

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients of replicas, in buckets; shards were summed in backward."""
        if self.sharded:
            return
        for bucket in _buckets([p.grad for p in parameters if p.grad is not None]):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat, dist.ReduceOp.SUM)
            parts = torch.split(flat, [gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))


class PeerError(RuntimeError):
    """Another rank failed, and has said why; this one only stops with it."""


def together(parallel: Parallel, act: Callable[[], Result]) -> Result:
    """``act()`` on every rank, or a failure on every rank. Collective.

    ``act`` must not itself wait for other ranks after the point where it may fail alone.
    The rank that fails raises its own error, the others PeerError.
    """
    result: Result | None = None
    failure: Exception | None = None
    try:
        result = act()
    except Exception as error:
        failure = error
    said = parallel.gather(None if failure is None else f"{type(failure).__name__}: {failure}")
    if failure is not None:
        raise failure
    for rank, words in enumerate(said):
        if words is not None:
            raise PeerError(f"rank {rank} failed: {words}")
    return result  # type: ignore[return-value]


def processes() -> int:
    """How many torchrun started; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(device: str, *, sharded: bool, timeout: float) -> Iterator[Parallel]:
    """The ranks that torchrun started, or ``Single``; the group is left with the block.

    Args:
        device: ``cpu``, ``cuda`` or ``auto``.
        sharded: whether parameters will be sharded.
        timeout: seconds that a rank waits for the others before it gives up.
    """
    if processes() == 1:
        yield Single()
        return
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    start(device, timeout)
    try:
        yield Ranks(sharded)
    except RuntimeError as error:
        # left without a farewell: leaving the group waits for ranks that may be gone
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            reason = " ".join(str(error).split())[:200]
            raise PeerError(f"lost the connection to another rank: {reason}") from error
        raise
    stop()


def start(device: str = "cpu", timeout: float = 1800.0) -> torch.device:
    """Join torchrun's process group (gloo on CPU, nccl on GPUs) and return this rank's device.

    ``device`` is ``cpu`` or ``cuda``; ``timeout`` in seconds. Raises InputError when not started
    by torchrun.
    """
    missing = [name for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK") if name not in os.environ]
    if missing:
        raise InputError(
            f"not started by torchrun ({', '.join(missing)} not set): run "
            "`torchrun --nproc-per-node N ...`"
        )
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl", timeout=timedelta(seconds=timeout))
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("gloo", timeout=timedelta(seconds=timeout))
    return torch.device("cpu")


def stop() -> None:
    """Leave the process group, where there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def replicate(model: nn.Module) -> Ranks:
    """Plain data parallel: rank 0's parameters and buffers to all; one all-reduce per update."""
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
    weights beforehand (load the same folder).
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


def full_parameters(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """(name, whole tensor) of every parameter, one at a time: what an engine's weight sync takes.

    Collective for a sharded model: every rank must go through all of it.
    """
    for name, parameter in model.named_parameters():
        value = parameter.detach()
        yield name, value.full_tensor() if isinstance(value, DTensor) else value


def whole(value: Any, keep: bool = True) -> Any:
    """A nest of dicts and lists with every sharded tensor gathered, on the CPU. Collective.

    ``keep`` false: take part in the gathering, but keep no tensor (None in its place).
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
    """``optimiser.load_state_dict`` of a state of whole tensors, sharded as the parameters are.

    Collective where they are sharded; every rank must give the same state.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    found = {}
    for index, values in state["state"].items():
        parameter = parameters[int(index)]
        found[index] = {
            name: distribute_tensor(
                value.to(parameter.device), parameter.device_mesh, parameter.placements
            )
            if isinstance(parameter, DTensor)
            and isinstance(value, Tensor)
            and value.shape == parameter.shape
            else value
            for name, value in values.items()
        }
    optimiser.load_state_dict({**state, "state": found})


def _buckets(gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        if bucket and (
            size + gradient.numel() > BUCKET_ELEMENTS or gradient.dtype != bucket[0].dtype
        ):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.numel()
    if bucket:
        yield bucket
