"""AdamW, and the schedule of its learning rate."""

from __future__ import annotations

import torch
from torch import nn

from cobasim.updates import warmup_factor


def make_optimiser(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> torch.optim.AdamW:
    """AdamW over the parameters that need a gradient; no decay of biases and norms (1-d ones)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=learning_rate, betas=betas, eps=eps
    )


def set_learning_rate(
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    learning_rate: float,
) -> None:
    """Make this the rate that the schedule's factors apply to, from the present step on."""
    schedule.base_lrs = [learning_rate] * len(optimiser.param_groups)
    for group, factor in zip(optimiser.param_groups, schedule.lr_lambdas, strict=True):
        group["initial_lr"] = learning_rate
        group["lr"] = learning_rate * factor(schedule.last_epoch)


def make_schedule(
    optimiser: torch.optim.Optimizer, warmup_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then constant; ``update`` steps it once per optimiser step."""
    return torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: warmup_factor(step, warmup_steps)
    )
