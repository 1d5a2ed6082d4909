"""A run that cannot fit is refused before it starts; one that hardly fits is a warning."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from cobasim.errors import InputError
from cobatrain.parallel import usable_device
from cobatrain.planning.advice import advice_line, advise
from cobatrain.planning.hardware import GIB, Hardware
from cobatrain.planning.plan import Plan, make_plan
from cobatrain.planning.shape import model_shape
from cobatrain.planning.update_memory import certain_bytes

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig


def check_room(
    config: TrainConfig, processes: int, say: Callable[[str], None] = lambda _: None
) -> None:
    """Raise InputError if the model cannot be trained on this process's GPU.

    Only what is certain counts: weights, gradients and Adam's moments against the card's whole
    memory. On a CPU all processes of this machine are compared with its memory, and ``say``
    gets a warning. A model whose shape is not known yet is let through.
    """
    try:
        shape = model_shape(config)
    except InputError:
        return  # what is wrong with the folder is said where it is read
    here = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    if processes % here:
        here = processes  # unequal machines; ``hybrid`` refuses them
    if usable_device(config.model.device).startswith("cuda"):
        place = int(os.environ.get("LOCAL_RANK", "0"))
        card = torch.cuda.get_device_properties(place).total_memory
        hardware = Hardware(processes, card / GIB, nodes=processes // here)
        refuse_hopeless(make_plan(config, shape, hardware))
        return
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = here * certain_bytes(config, shape, processes, processes // here)
    if needed > machine:
        say(
            f"warning: weights, gradients and Adam's moments take {needed / GIB:.1f} GiB, more "
            f"than this machine's {machine / GIB:.1f} GiB"
        )


def refuse_hopeless(plan: Plan) -> None:
    """Raise InputError, with the first setting to change, if what is certain does not fit."""
    if plan.certain <= plan.hardware.bytes:
        return
    raise InputError(
        f"{plan.config.model.path} cannot be trained here: weights, gradients and Adam's moments "
        f"alone take {plan.certain / GIB:.1f} of {plan.hardware.gib:.1f} GiB of each GPU; "
        f"{advice_line(advise(plan))}; `cobatrain plan` shows all"
    )


def check_engine(config: TrainConfig, world: int) -> None:
    """Raise InputError for an engine that ``world`` processes cannot each have."""
    engine = config.engine
    if world > 1 and engine.name == "vllm" and not engine.subprocess:
        raise InputError(
            "engine.subprocess must be true with several processes: inside the trainer vLLM would "
            "take over its process group"
        )
    if world > 1 and engine.tensor_parallel_size > 1:
        raise InputError(
            f"engine.tensor_parallel_size is {engine.tensor_parallel_size}, but must be 1 with "
            "several processes: every rank has its own engine on its own GPU; parallel=shard cuts "
            "the trainer's model only (docs/gpu.md)"
        )
