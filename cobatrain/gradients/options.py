"""What is measured of a policy's gradients, and how finely."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cobasim.gradients import MeasuredGradients


@dataclass(frozen=True)
class GradientOptions:
    """What is measured, and how finely.

    Attributes:
        prompts: training prompts whose features are measured, at most; None: all.
        groups: prompts whose groups are measured with rollouts, at most.
        rollouts: of each group; None: twice the mean budget of the run.
        dim: numbers of a sketch.
        rank: directions that are stored.
        rest: numbers of a second sketch, of what lies outside these directions. 0: left out.
        plain_rank: the same of the plain metric, which only gradient norms need.
        least: probability of a token, where the answer before it is right; those below it are taken
            together. 1: all are, at each position.
        like: another measurement of the same prompts: the same alternatives are taken.
        seed: of the choice of prompts, the halves, the sketch and the bootstrap.
    """

    prompts: int | None = None
    groups: int = 256
    rollouts: int | None = None
    dim: int = 16_384
    rank: int = 512
    rest: int = 1024
    plain_rank: int = 128
    least: float = 1e-3
    like: MeasuredGradients | None = None
    seed: int = 0

    def settled(self) -> GradientOptions:
        """With the prompts, the sketch and the directions of ``like``, if there is one."""
        if self.like is None:
            return self
        info = self.like.info
        return replace(
            self,
            prompts=int((~self.like.heldout).sum()),
            dim=int(info["sketch"]["dim"]),
            seed=int(info["sketch"]["seed"]),
            rank=int(self.like.noise.size) - self.like.folded,
            rest=self.like.folded,
        )
