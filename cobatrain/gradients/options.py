"""What is measured of a policy's gradients, and how finely."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from cobasim.errors import InputError
from cobasim.gradients import MeasuredGradients

Method = Literal["auto", "exact", "rollouts"]


@dataclass(frozen=True)
class GradientOptions:
    """What is measured, and how finely.

    Attributes:
        method: how features are measured. ``exact``: from the answer that passes; ``rollouts``:
            from sampled responses; ``auto``: exact where the task allows it.
        prompts: training prompts whose features are measured, at most; None: all.
        groups: prompts whose groups are measured with rollouts, at most.
        rollouts: of each group, and with the method ``rollouts`` of each prompt beside; None: twice
            the mean budget of the run.
        dim: numbers of a sketch.
        rank: directions that are stored.
        rest: numbers of a second sketch, of what lies outside these directions. 0: left out, as
            rollouts do.
        plain_rank: the same of the plain metric, which only gradient norms need.
        least: probability of a token, where the answer before it is right; those below it are taken
            together. 1: all are, at each position.
        like: another measurement of the same prompts: the same alternatives are taken.
        parameters: regular expression that is searched for in the names of the model's parameters:
            only the gradients of these are measured; None: of all that are trained.
        seed: of the choice of prompts, the halves, the sketch and the bootstrap.
    """

    method: Method = "auto"
    prompts: int | None = None
    groups: int = 256
    rollouts: int | None = None
    dim: int = 16_384
    rank: int = 512
    rest: int = 1024
    plain_rank: int = 128
    least: float = 1e-3
    like: MeasuredGradients | None = None
    parameters: str | None = None
    seed: int = 0

    def settled(self) -> GradientOptions:
        """With the prompts, sketch, directions, method and parameters of ``like``, if there is one.

        Raises InputError if another method or other parameters were asked for.
        """
        if self.like is None:
            return self
        info = self.like.info
        method, parameters = info["method"], info.get("parameters measured")
        if self.method not in ("auto", method):
            raise InputError(f"--like was measured with --method {method}, not {self.method}")
        if self.parameters not in (None, parameters):
            raise InputError(
                f"--like was measured with "
                f"{'all parameters' if parameters is None else f'--parameters {parameters}'}, not "
                f"--parameters {self.parameters}"
            )
        return replace(
            self,
            method=method,
            parameters=parameters,
            prompts=int((~self.like.heldout).sum()),
            dim=int(info["sketch"]["dim"]),
            seed=int(info["sketch"]["seed"]),
            rank=int(self.like.noise.size) - self.like.folded,
            rest=self.like.folded,
        )
