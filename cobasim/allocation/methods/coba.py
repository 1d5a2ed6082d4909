"""CoBA-RL (arXiv 2602.03048), and its mirror image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation.beliefs import beta_shape
from cobasim.allocation.methods.shapes import ShapeAllocator
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Coba(ShapeAllocator):
    """CoBA-RL: alpha follows the global failure rate, from exploiting to exploring."""

    source: ClassVar[str] = "CoBA-RL, arXiv 2602.03048"
    kappa: float = parameter(11.0, "alpha + beta (Eq. 7)", above=2)
    gamma: float = parameter(10.0, "steepness of Psi below 0.5 (Eq. 6)", above=0)
    alpha: float | None = parameter(None, "hold alpha at this value (else Eq. 7)", above=0)
    alpha_min: float = parameter(1.0, "lower clip of alpha; the paper is silent", above=0)
    alpha_max: float | None = parameter(
        None, "upper clip of alpha; kappa - 1 by default; the paper is silent", above=0
    )
    slope: float | None = parameter(
        None, "lambda of Eq. 7; kappa - 2 by default; the paper is silent", at_least=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        top = self.kappa - 1.0 if self.alpha_max is None else self.alpha_max
        for name, alpha in (("alpha", self.alpha), ("alpha_max", top)):
            if alpha is not None and alpha >= self.kappa:
                raise InputError(
                    f"{type(self).__name__}: {name} must be below kappa ({self.kappa:g}), since "
                    f"beta = kappa - alpha, got {alpha:g}"
                )
        if self.alpha_min > top:
            raise InputError(
                f"{type(self).__name__}: alpha_min ({self.alpha_min:g}) is above alpha_max "
                f"({top:g})"
            )

    def shape(self, obs: Observation) -> tuple[float, float]:
        """Eq. 7 at the smoothed failure rate; before the first one, at the batch's own."""
        if self.alpha is not None:
            return self.alpha, self.kappa - self.alpha
        rate = obs.failure_rate
        if rate is None:
            seen = obs.seen
            rate = 1.0 - float(np.mean(obs.pass_rate[seen] if seen.any() else obs.pass_rate))
        return beta_shape(
            rate,
            kappa=self.kappa,
            gamma=self.gamma,
            alpha_min=self.alpha_min,
            alpha_max=self.alpha_max,
            slope=self.slope,
        )


@dataclass(frozen=True, kw_only=True)
class CobaExploreFirst(Coba):
    """CoBA-RL with alpha mirrored: it rises with capability (Table 2's first row)."""

    source: ClassVar[str] = "CoBA-RL, arXiv 2602.03048, Table 2"

    def shape(self, obs: Observation) -> tuple[float, float]:
        """Alpha mirrored at the middle of its range."""
        if self.alpha is not None:
            return self.alpha, self.kappa - self.alpha
        alpha, _ = super().shape(obs)
        top = self.kappa - 1.0 if self.alpha_max is None else self.alpha_max
        mirrored = self.alpha_min + top - alpha
        return mirrored, self.kappa - mirrored
