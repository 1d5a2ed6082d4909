"""Joining and leaving the process group that torchrun sets up: gloo on CPU, nccl on GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from cobasim.errors import InputError
from cobatrain.parallel.ranks import Layout, Parallel, PeerError, Ranks, Single


def processes() -> int:
    """How many processes torchrun started; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def usable_device(device: str = "auto") -> str:
    """``device``, or for ``auto`` cuda where there is a GPU, else cpu."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def joined(device: str, *, layout: Layout, timeout: float) -> Iterator[Parallel]:
    """The ranks that torchrun started, or ``Single``; leaves the group at the end of the block.

    Args:
        device: ``cpu``, ``cuda`` or ``auto``.
        layout: how the model will lie on the ranks; see ``Ranks``.
        timeout: seconds that a rank waits for the others before it gives up.

    Raises PeerError if the connection to another rank is lost.
    """
    if processes() == 1:
        yield Single()
        return
    start(usable_device(device), timeout)
    try:
        yield Ranks(layout)
    except RuntimeError as error:
        # no stop() here: leaving the group waits for the other ranks, which may be gone
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            reason = " ".join(str(error).split())[:200]
            raise PeerError(f"lost the connection to another rank: {reason}") from error
        raise
    stop()


def start(device: str = "cpu", timeout: float = 1800.0) -> torch.device:
    """Join torchrun's process group (gloo on CPU, nccl on GPUs) and return this rank's device.

    ``device`` is ``cpu`` or ``cuda``; ``timeout`` in seconds. Raises InputError if torchrun did
    not start this process.
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
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()
