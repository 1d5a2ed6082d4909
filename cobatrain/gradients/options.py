"""What is measured of a policy's gradients, and how finely."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GradientOptions:
    """What is measured, and how finely.

    Attributes:
        prompts: training prompts whose features are measured, at most; None: all.
        groups: prompts whose groups are measured with rollouts, at most.
        rollouts: of each group; None: twice the mean budget of the run.
        dim: numbers of a sketch.
        rank: directions that are stored.
        plain_rank: the same of the plain metric, which only gradient norms need.
        seed: of the choice of prompts, the halves, the sketch and the bootstrap.
    """

    prompts: int | None = None
    groups: int = 256
    rollouts: int | None = None
    dim: int = 16_384
    rank: int = 512
    plain_rank: int = 128
    seed: int = 0
