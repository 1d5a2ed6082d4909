"""Adam's metric: a parameter whose gradient is usually large moves less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from cobasim.errors import InputError

LEAST = 1e-8  # second moments below this share of their mean count as that


@dataclass(frozen=True)
class Metric:
    """Multiplies a gradient by q^(-1/4), q the second moment of each parameter's gradient.

    Adam's step is m / sqrt(v), with v proportional to q if the gradient's distribution stays as it
    is, so the logit of prompt j moves by phi_j . q^(-1/2) g: the inner product of the two gradients
    in this metric.

    Attributes:
        roots: q^(-1/4), one tensor a parameter.
        root_sum: square root of the sum of q.
    """

    roots: list[Tensor]
    root_sum: float

    def apply(self, number: int, gradient: Tensor) -> Tensor:
        """The gradient of parameter ``number`` in this metric."""
        return gradient.float() * self.roots[number]


def add_squares(squares: Sequence[Tensor], gradient: Sequence[Tensor]) -> None:
    """Add the squares of a gradient to a sum of them, one tensor a parameter."""
    for square, part in zip(squares, gradient, strict=True):
        square.addcmul_(part.float(), part.float())


def metric_of(squares: list[Tensor], count: int) -> Metric:
    """The metric of ``count`` gradients with that sum of squares; it takes the sum's memory.

    Raises InputError if they are all 0.
    """
    total = float(sum(float(square.double().sum()) for square in squares)) / max(count, 1)
    size = sum(square.numel() for square in squares)
    if total <= 0.0:
        raise InputError("all gradients are 0: no group of rollouts was mixed")
    least = LEAST * total / size
    for square in squares:
        square.div_(count).clamp_min_(least).pow_(-0.25)
    return Metric(squares, total**0.5)
