"""What rollouts say of a group's gradient: two halves, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobatrain.engines import Rollouts
from cobatrain.gradients.per_prompt import weighted_gradient

EDGE = 1e-6  # rates are kept that far from 0 and 1


@dataclass(frozen=True)
class GroupHalves:
    """The mean gradients of two halves of a prompt's rollouts.

    With A = (r - p) / sqrt(p (1-p)) and s the gradient of a response's log-prob, averaged over its
    tokens and scaled by the mean length of all responses, each half is the mean of A s over
    ``count`` rollouts. Their product has the mean |E A s|^2, without the rollouts' noise.

    Attributes:
        count: rollouts of each half.
        first, second: one gradient of all parameters each.
    """

    count: int
    first: list[Tensor]
    second: list[Tensor]


def group_halves(
    model: nn.Module,
    rollouts: Rollouts,
    rows: IntArray,
    success: BoolArray,
    rate: float,
    split: tuple[IntArray, IntArray],
    *,
    length: float,
    temperature: float,
) -> GroupHalves:
    """The halves of one group.

    Args:
        model: that sampled it.
        rollouts: the group's, among others.
        rows: (n,) which are the group's.
        success: (n,) which of these passed.
        rate: true pass rate of the prompt.
        split: two halves of 0 .. n-1, equally large.
        length: mean tokens of all responses.
        temperature: of sampling.
    """
    scale = length / np.maximum(rollouts.lengths[rows], 1)
    weights = _advantages(success, rate) * scale / split[0].size
    first, second = (
        weighted_gradient(model, rollouts, rows[half], weights[half], temperature) for half in split
    )
    return GroupHalves(split[0].size, first, second)


def _advantages(success: BoolArray, rate: float) -> FloatArray:
    rate = min(max(rate, EDGE), 1.0 - EDGE)
    return np.asarray((success - rate) / np.sqrt(rate * (1.0 - rate)), dtype=np.float64)


def mixed_prompts(rates: FloatArray, edge: float = 1.0 / 16.0) -> IntArray:
    """Prompts whose groups are mixed often enough to measure: rates of ``edge`` to 1 - ``edge``."""
    return np.flatnonzero((rates >= edge) & (rates <= 1.0 - edge))
