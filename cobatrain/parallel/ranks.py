"""What ranks do together: gather, sum, fail.

Gradients are *summed* over ranks: the loss weights of ``cobatrain.update`` are shares of the whole
batch, over all ranks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from cobasim.errors import InputError

Result = TypeVar("Result")
Layout: TypeAlias = Literal["replicate", "shard", "hybrid"]

BUCKET_ELEMENTS = 2**24
"""Gradients are all-reduced in buckets of about this many numbers."""


class Parallel(Protocol):
    """This rank among the others. Every method is collective: all ranks must call it."""

    rank: int
    """Number of this rank, from 0."""
    local_rank: int
    """Its number on its own machine, from 0; ranks of a machine follow each other."""
    world: int
    """Number of ranks."""
    sharded: bool
    """Whether forward and backward communicate, so that ranks must run equally many of them."""
    shards: int
    """How many ranks hold one model together: 1, all, or those of a machine. They follow each
    other, and every such group has the same model."""

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
    local_rank = 0
    world = 1
    sharded = False
    shards = 1

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
    """The ranks of the default process group, with replicated or FSDP2-sharded parameters.

    ``layout`` is ``replicate``, ``shard`` (over all ranks) or ``hybrid``: sharded over the ranks of
    a machine, replicated over machines (HSDP). Raises InputError without a process group, and for
    ``hybrid`` on machines that do not have equally many ranks. Collective.
    """

    def __init__(self, layout: Layout = "replicate") -> None:
        if not dist.is_initialized():
            raise InputError(
                "no process group: start the program with torchrun and call "
                "cobatrain.parallel.start() first"
            )
        self.rank = dist.get_rank()
        self.local_rank = int(os.environ.get("LOCAL_RANK", self.rank))
        self.world = dist.get_world_size()
        self.sharded = layout != "replicate"
        self.shards = self.world if self.sharded else 1
        if layout == "hybrid":
            self.shards = self._of_a_machine()
        self._mesh: DeviceMesh | None = None

    def _of_a_machine(self) -> int:
        """How many ranks each machine has."""
        here = int(os.environ.get("LOCAL_WORLD_SIZE", self.world))
        found = self.gather((here, self.rank - self.local_rank))

        def check() -> None:
            if self.rank == 0 and found != [(here, r - r % here) for r in range(self.world)]:
                counts = ", ".join(str(count) for count, _ in dict.fromkeys(found))
                raise InputError(
                    f"parallel: hybrid needs equally many processes on every machine, got {counts}:"
                    " give torchrun the same --nproc-per-node everywhere, or set parallel: shard"
                )

        together(self, check)
        return here

    def mesh(self, device: str) -> DeviceMesh:
        """The ranks as FSDP2 is to see them: those of a model, or models by their ranks."""
        if self._mesh is None:
            copies = self.world // self.shards
            self._mesh = (
                init_device_mesh(device, (self.world,), mesh_dim_names=("shard",))
                if copies == 1
                else init_device_mesh(
                    device, (copies, self.shards), mesh_dim_names=("replicate", "shard")
                )
            )
        return self._mesh

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
    """Another rank failed and reports the reason; this one stops because of it."""


def together(parallel: Parallel, act: Callable[[], Result]) -> Result:
    """Call ``act`` on every rank; if it fails on one, all fail. Collective.

    ``act`` must not wait for other ranks after a point where it may fail on one rank alone.
    The rank that fails raises its own error, the others PeerError.
    """
    result: Result | None = None
    failure: Exception | None = None
    try:
        result = act()
    except Exception as error:
        failure = error
    reasons = parallel.gather(None if failure is None else f"{type(failure).__name__}: {failure}")
    if failure is not None:
        raise failure
    for rank, reason in enumerate(reasons):
        if reason is not None:
            raise PeerError(f"rank {rank} failed: {reason}")
    return result  # type: ignore[return-value]


def on_first(parallel: Parallel, act: Callable[[], Result]) -> Result:
    """Call ``act`` on rank 0 only; every rank gets its result, which is pickled. Collective.

    If it fails, rank 0 raises the error, the others PeerError.
    """

    def act_if_first() -> Result | None:
        return act() if parallel.rank == 0 else None

    result: Result = parallel.gather(together(parallel, act_if_first))[0]
    return result


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
