"""What rollouts say of a group's gradient: two halves, and what they have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobatrain.engines import Rollouts
from cobatrain.gradients.per_prompt import halves, weighted_gradient
from cobatrain.tasks import passed

EDGE = 1e-6  # rates are kept that far from 0 and 1


@dataclass(frozen=True)
class GroupHalves:
    """The mean gradients of two halves of a prompt's rollouts.

    With A = (r - p) / sqrt(p (1-p)) and s the gradient of a response's log-prob, averaged over its
    tokens and scaled by the mean length of all responses, each half is the mean of A s over
    ``count`` rollouts. Their product has the mean |E A s|^2, without the rollouts' noise.

    Attributes:
        prompt: place of the prompt in the request.
        count: rollouts of each half.
        first, second: one gradient of all parameters each.
    """

    prompt: int
    count: int
    first: list[Tensor]
    second: list[Tensor]


def group_halves(
    model: nn.Module,
    rollouts: Rollouts,
    rewards: FloatArray,
    temperature: float,
    rates: FloatArray | None,
    rng: np.random.Generator,
    chosen: IntArray | None = None,
) -> Iterator[GroupHalves]:
    """The halves of prompts of a request (m prompts), in order.

    Args:
        model: that sampled them.
        rollouts: n completions.
        rewards: (n,) of each.
        temperature: of sampling.
        rates: (m,) true pass rates; None: each half takes the rate of the other half, with one half
            of a pass and of a failure added.
        rng: draws the halves.
        chosen: which prompts; None: all. The halves of a prompt do not depend on it.
    """
    success = passed(rewards)
    lengths = np.maximum(rollouts.lengths, 1)
    scale = float(lengths.mean()) / lengths
    size = len(rollouts.prompt_tokens)
    split = [halves(int(n), rng) for n in np.bincount(rollouts.prompt, minlength=size)]
    for prompt in range(size) if chosen is None else chosen:
        rows = np.flatnonzero(rollouts.prompt == prompt)
        first, second = split[prompt]
        parts = []
        for own, other in ((first, second), (second, first)):
            rate = _rate(success[rows[other]]) if rates is None else float(rates[prompt])
            parts.append(
                weighted_gradient(
                    model,
                    rollouts,
                    rows[own],
                    _advantages(success[rows[own]], rate) * scale[rows[own]] / own.size,
                    temperature,
                )
            )
        yield GroupHalves(int(prompt), first.size, *parts)


def _rate(success: BoolArray) -> float:
    return (float(success.sum()) + 0.5) / (success.size + 1.0)


def _advantages(success: BoolArray, rate: float) -> FloatArray:
    rate = min(max(rate, EDGE), 1.0 - EDGE)
    return np.asarray((success - rate) / np.sqrt(rate * (1.0 - rate)), dtype=np.float64)


def mixed_prompts(rates: FloatArray, edge: float = 1.0 / 16.0) -> IntArray:
    """Prompts whose groups are mixed often enough to measure: rates of ``edge`` to 1 - ``edge``."""
    return np.flatnonzero((rates >= edge) & (rates <= 1.0 - edge))
