"""Settings of one run."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from cobasim.allocation import find_allocator, make_allocator
from cobasim.data import RateOptions
from cobasim.errors import InputError
from cobasim.loop import LoopConfig
from cobasim.settings import Frozen
from cobasim.world import WorldConfig

ORACLE = "oracle-"  # prefix of an allocator that is shown the true pass rates


class RunConfig(Frozen):
    """One run: a world, a loop, an allocator with its parameters, and a seed."""

    allocator: str = "coba"
    parameters: dict[str, Any] = {}
    seed: Annotated[int, Field(ge=0)] = 0
    pass_rates: str | None = None  # file of measured pass rates behind the pool of prompts
    reading: RateOptions = RateOptions()  # how that file is read
    # allocator whose budgets weigh the prompts in the loss; None: those that are spent
    weigh_as: str | None = None
    loop: LoopConfig = LoopConfig()
    world: WorldConfig = WorldConfig()

    @model_validator(mode="after")
    def _known_allocator(self) -> RunConfig:
        make_allocator(self.base_allocator, **self.parameters)
        if self.weigh_as is not None:
            find_allocator(self.weigh_as)
            if self.world.weighting != "rollout":
                raise InputError(
                    "weigh_as changes nothing where every prompt counts alike: use it with the "
                    f"weighting per rollout, got {self.world.weighting!r}"
                )
        return self

    @property
    def oracle(self) -> bool:
        """Whether the allocator is shown the true pass rates."""
        return self.allocator.startswith(ORACLE)

    @property
    def base_allocator(self) -> str:
        """The allocator's name in ALLOCATORS."""
        return self.allocator.removeprefix(ORACLE)

    @property
    def estimator(self) -> str:
        """The pass-rate rule in use."""
        if self.oracle:
            return "truth"
        return self.loop.estimator or find_allocator(self.base_allocator).estimator
