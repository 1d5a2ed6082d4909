"""The ``cobasim`` commands that the app's widgets stand for, and their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cobasim.data import RateOptions
from cobasim.runs import (
    CompareConfig,
    Parameter,
    Sweep,
    measured_pool,
    points,
    settle,
    with_pool,
)
from cobasim.settings import validated
from cobasim.updates import WEIGHTINGS

SHOWN = ("uniform", "knapsack", "coba", "signal", "signal-skip")
"""The allocators that a page shows first: the baseline, the two papers', and this project's own."""


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
        pass_rates: file of measured pass rates, one simulated prompt for each; None: drawn.
        reading: how that file is read.
    """

    allocators: tuple[str, ...]
    weighting: str
    seeds: int
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    pass_rates: str | None = None
    reading: RateOptions = field(default_factory=RateOptions)

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
        if self.pass_rates is not None:
            arguments += ["--pass-rates", self.pass_rates, *self.reading.flags]
        for name, value in self.settings.items():
            arguments += ["--set", f"{name}={_text(value)}"]
        return arguments

    @cached_property
    def config(self) -> CompareConfig:
        """The validated comparison. Raises InputError if a value is invalid."""
        weightings = WEIGHTINGS if self.weighting == "both" else (self.weighting,)
        pool = measured_pool(self.pass_rates, self.reading)
        known = pool is not None and pool.attempts is not None
        values = settle(
            "quick",
            self.settings,
            allocators=self.allocators,
            weightings=weightings,
            seeds=self.seeds,
            pass_rates=self.pass_rates,
            reading=self.reading,
            first_beliefs="measured" if known else None,
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


def differences(made: Sequence[str], now: Sequence[str]) -> list[str]:
    """How the command ``now`` differs from the one that made some results, an option a line.

    Both without "cobasim" and as ``arguments`` gives them. Empty if they would do the same.
    """
    old, new = _by_option(made), _by_option(now)
    return [
        f"{name}: {new.get(name, 'default')} now, {old.get(name, 'default')} in these results"
        for name in dict.fromkeys([*new, *old])
        if new.get(name) != old.get(name)
    ]


def _by_option(arguments: Sequence[str]) -> dict[str, str]:
    """Values by the option's name; those of ``--set`` and ``--param`` by the setting's."""
    values: dict[str, str] = {}
    rest = list(arguments[1:])
    while rest:
        name = rest.pop(0).removeprefix("--")
        value = rest.pop(0) if rest and not rest[0].startswith("--") else "yes"
        if name in ("set", "param"):
            name, _, value = value.partition("=")
        values[name.replace("_", "-")] = value
    return values
