"""The worlds that can be fitted: which settings are free, in a ladder of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cobasim.data import RateOptions
from cobasim.errors import unknown_name
from cobasim.runs import Parameter
from cobasim.world import MEASURED

BOX = {
    "logistic": ("learning_rate=3e-3:1e-1:log", "transfer=0.1:1.0", "noise=1:60:log"),
    "skill-chain": ("learning_rate=2e-2:1:log", "transfer=0.1:1.0", "noise=1:60:log"),
}
"""What every model fits."""
STEP = "learning_rate=1e-6:1e-3:log"
"""What is fitted of a measured world: the length of its steps."""
KNOBS = {
    "forgetting": "forgetting=0.002:0.2:log",
    "prompt_noise": "prompt_noise=1:200:log",
    "harm": "harm=0.03:30:log",
}
"""What some models fit as well; zero in the others."""
MODELS: dict[str, tuple[str, ...]] = {
    "as it was": (),
    "with forgetting": ("forgetting",),
    "with forgetting and prompt noise": ("forgetting", "prompt_noise"),
    "with forgetting, prompt noise and harm": ("forgetting", "prompt_noise", "harm"),
}
"""A ladder: each model has one more knob of the world."""
MEASURED_MODELS: dict[str, tuple[str, ...]] = {"step length": ()}
"""Those of a measured world."""


def models_of(world: str) -> list[str]:
    """Names of the models of a world."""
    return list(MEASURED_MODELS if world.startswith(MEASURED) else MODELS)


@dataclass(frozen=True)
class FittedWorld:
    """A world with free settings.

    Attributes:
        world: logistic, skill-chain, or ``measured:FILE``.
        model: a name in ``models_of(world)``. One with ``prompt_noise`` also uses the gradient
            norms, which tell it from ``noise``.
        fixed: settings of the world that are not fitted.
        pass_rates: file of the initial policy's measured pass rates; None: the world's population.
        reading: how that file is read.

    Raises InputError for an unknown world or model.
    """

    world: str = "logistic"
    model: str = "with forgetting and prompt noise"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    pass_rates: str | None = None
    reading: RateOptions = field(default_factory=RateOptions)

    def __post_init__(self) -> None:
        if self.world not in BOX and not self.world.startswith(MEASURED):
            raise unknown_name("world", self.world, BOX)
        if self.model not in models_of(self.world):
            raise unknown_name("model", self.model, models_of(self.world))

    @property
    def knobs(self) -> tuple[str, ...]:
        """What the model fits beyond the box of its world."""
        return (MODELS | MEASURED_MODELS)[self.model]

    @property
    def box(self) -> list[Parameter]:
        """The free settings with their ranges."""
        texts = [*BOX.get(self.world, (STEP,)), *(KNOBS[name] for name in self.knobs)]
        parameters = [Parameter.parse(text) for text in texts]
        return [parameter for parameter in parameters if parameter.name not in self.fixed]

    @property
    def held(self) -> dict[str, Any]:
        """The settings that are the same in every evaluation."""
        return {"world": self.world, **self.fixed}
