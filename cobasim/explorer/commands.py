"""The ``cobasim`` commands that the app's widgets stand for, and their size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cobasim.runs import CompareConfig, Parameter, Sweep, points, settle, with_pool
from cobasim.settings import validated
from cobasim.updates import WEIGHTINGS


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class SimulationChoice:
    """A comparison of allocators in the simulator: ``cobasim compare``.

    Attributes:
        allocators: names; oracles too.
        weighting: "rollout", "prompt" or "both".
        seeds: per allocator and weighting.
        options: values of the command's options by name: steps, world, batch_size,
            total_budget, low, high.
        settings: further settings of the world by flat name.
    """

    allocators: tuple[str, ...]
    weighting: str
    seeds: int
    options: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def arguments(self) -> list[str]:
        """The command line, without "cobasim"."""
        given = {
            "allocators": ",".join(self.allocators),
            "seeds": self.seeds,
            **self.options,
            "weighting": self.weighting,
        }
        arguments = ["compare"]
        for name, value in given.items():
            arguments += [f"--{name.replace('_', '-')}", _text(value)]
        for name, value in self.settings.items():
            arguments += ["--set", f"{name}={_text(value)}"]
        return arguments

    @cached_property
    def config(self) -> CompareConfig:
        """The validated comparison. Raises InputError if a value is invalid."""
        weightings = WEIGHTINGS if self.weighting == "both" else (self.weighting,)
        values = settle(
            "quick",
            self.settings,
            allocators=self.allocators,
            weightings=weightings,
            seeds=self.seeds,
            **self.options,
        )
        return with_pool(validated(CompareConfig, values))

    @property
    def total_steps(self) -> int:
        """Policy updates of all runs together."""
        return self.config.num_runs * self.config.loop.steps

    @property
    def visits(self) -> int:
        """Prompt visits of all runs together (runs x steps x M), the measure of their cost."""
        return self.total_steps * self.config.loop.batch_size


@dataclass(frozen=True)
class SweepChoice:
    """A small sweep over one or two settings: ``cobasim sweep``.

    Attributes:
        parameters: texts for ``Parameter.parse``, with distinct names.
        allocators: names.
        seeds, steps, world: of every run.
    """

    parameters: tuple[str, ...]
    allocators: tuple[str, ...]
    seeds: int
    steps: int
    world: str
    batch_size: int = 128
    total_budget: int = 2048
    num_prompts: int = 4096

    @property
    def arguments(self) -> list[str]:
        """The command line, without "cobasim"."""
        arguments = ["sweep", "--allocators", ",".join(self.allocators)]
        for name in ("seeds", "steps", "world", "batch_size", "total_budget"):
            arguments += [f"--{name.replace('_', '-')}", str(getattr(self, name))]
        arguments += ["--set", f"num_prompts={self.num_prompts}"]
        for text in self.parameters:
            arguments += ["--param", text]
        return arguments

    @cached_property
    def num_runs(self) -> int:
        """Runs of the whole sweep. Raises InputError if a point of it is impossible."""
        chosen = {
            "allocators": self.allocators,
            "seeds": self.seeds,
            "steps": self.steps,
            "world": self.world,
            "weightings": ("rollout", "prompt"),
            "batch_size": self.batch_size,
            "total_budget": self.total_budget,
        }
        swept = points([Parameter.parse(text) for text in self.parameters])
        return Sweep("quick", {"num_prompts": self.num_prompts}, chosen, tuple(swept)).num_runs
