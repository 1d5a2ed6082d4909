"""What a comparison runs: allocators x weightings x seeds in one world, as a plan of runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from cobasim.allocation import (
    ALLOCATORS,
    PEERS,
    find_allocator,
    make_allocator,
    own_parameters,
)
from cobasim.data import RateOptions
from cobasim.errors import InputError, nearest, unknown_name
from cobasim.loop import LoopConfig
from cobasim.runs.config import ORACLE, RunConfig
from cobasim.runs.execution import measured_pool
from cobasim.settings import Frozen
from cobasim.world import MEASURED, WorldConfig, find_world, measured_loop

BASELINE = "uniform"
OWN = tuple(name for name in ALLOCATORS if name not in PEERS)  # of the CoBA and Knapsack papers


class CompareConfig(Frozen):
    """A comparison: allocators x weightings x seeds in one world."""

    allocators: Annotated[tuple[str, ...], Field(min_length=1)]
    weightings: Annotated[tuple[str, ...], Field(min_length=1)] = ("rollout", "prompt")
    seeds: Annotated[int, Field(ge=1, le=10_000)] = 8
    first_seed: Annotated[int, Field(ge=0)] = 0
    parameters: dict[str, Any] = {}  # of allocators; each gets those that it takes
    pass_rates: str | None = None  # file of measured pass rates: the pool of prompts
    reading: RateOptions = RateOptions()  # how that file is read
    # allocator whose budgets weigh the prompts in the loss; None: those that are spent
    weigh_as: str | None = None
    loop: LoopConfig = LoopConfig()
    world: WorldConfig = WorldConfig()

    @model_validator(mode="after")
    def _known(self) -> CompareConfig:
        find_world(self.world.world)
        for name in self.allocators:
            find_allocator(name.removeprefix(ORACLE))
        if len(set(self.allocators)) < len(self.allocators):
            raise InputError(f"an allocator is named twice: {', '.join(self.allocators)}")
        for name in self.allocators:
            base = name.removeprefix(ORACLE)
            make_allocator(base, **own_parameters(base, self.parameters))
        if self.weigh_as is not None:
            find_allocator(self.weigh_as)
        return self

    @property
    def num_runs(self) -> int:
        """How many runs the comparison takes."""
        return len(self.allocators) * len(self.weightings) * self.seeds


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "allocators": (
            "uniform",
            "knapsack",
            "fixed-exploit",
            "fixed-explore",
            "linear-decay",
            "coba",
            "coba-explore-first",
            "signal",
            "signal-skip",
        ),
        "seeds": 8,
        "loop": {"steps": 300},
    },
    "paper": {
        "allocators": (*OWN, *(ORACLE + name for name in OWN if name != BASELINE)),
        "seeds": 16,
        "loop": {"steps": 500},
    },
    "peers": {
        "allocators": (BASELINE, "knapsack", "coba", *PEERS),
        "seeds": 8,
        "loop": {"steps": 300},
    },
}


def settle(preset: str, settings: Mapping[str, Any], **chosen: Any) -> dict[str, Any]:
    """Values of a CompareConfig: a preset, changed by what was ``chosen`` and by ``settings``.

    Args:
        preset: a name in PRESETS.
        settings: flat names and values; each goes to the world, to the loop, or to the
            allocators that take a parameter of that name.
        chosen: values by the same flat names, or fields of CompareConfig; None: not chosen.

    A measured world has the loop of the run that was measured where nothing else is chosen: its
    steps, batches, budgets and bounds.

    Raises InputError for an unknown preset or name.
    """
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    values: dict[str, Any] = dict(PRESETS[preset])
    nested: dict[str, dict[str, Any]] = {
        "loop": dict(values.get("loop", {})),
        "world": dict(values.get("world", {})),
    }
    parameters: dict[str, Any] = {}
    given = {name: value for name, value in chosen.items() if value is not None} | dict(settings)
    if str(given.get("world")).startswith(MEASURED):  # as in the run that was measured
        nested = {"loop": nested["loop"] | measured_loop(str(given["world"])), "world": {}}
    allocators = given.get("allocators", values["allocators"])
    taken = {
        field.name
        for name in allocators
        for field in dataclasses.fields(find_allocator(name.removeprefix(ORACLE)))
    }
    for name, value in given.items():
        if name in CompareConfig.model_fields and name not in ("loop", "world", "parameters"):
            values[name] = value
        elif name == "weighting":
            raise InputError("choose weightings with --weighting rollout|prompt|both")
        elif name in WorldConfig.model_fields:
            nested["world"][name] = value
        elif name in LoopConfig.model_fields:
            nested["loop"][name] = value
        elif name in taken:
            parameters[name] = value
        else:
            known = [*WorldConfig.model_fields, *LoopConfig.model_fields, *sorted(taken)]
            near = nearest(name, known)
            hint = f"; did you mean {near!r}?" if near else f"; known: {', '.join(known)}"
            raise InputError(f"unknown setting {name!r}{hint}")
    return values | nested | {"parameters": parameters}


def plan(config: CompareConfig) -> Iterator[RunConfig]:
    """All runs of a comparison. Seeds vary slowest, so that an early stop leaves whole pairs."""
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        for weighting in config.weightings:
            for name in config.allocators:
                yield RunConfig(
                    allocator=name,
                    parameters=own_parameters(name.removeprefix(ORACLE), config.parameters),
                    seed=seed,
                    pass_rates=config.pass_rates,
                    reading=config.reading,
                    weigh_as=config.weigh_as,
                    loop=config.loop,
                    world=config.world.model_copy(update={"weighting": weighting}),
                )


def with_pool(config: CompareConfig) -> CompareConfig:
    """The config with the number of prompts that its file of pass rates holds.

    Raises InputError, before anything runs, if the file cannot be used or the batch is larger
    than the pool.
    """
    pool = measured_pool(config.pass_rates, config.reading)
    if pool is not None:
        world = config.world.model_copy(update={"num_prompts": pool.pass_rate.size})
        config = config.model_copy(update={"world": world})
    if config.loop.batch_size > config.world.num_prompts:
        raise InputError(
            f"a batch of {config.loop.batch_size} distinct prompts needs a pool of at least that "
            f"many, got {config.world.num_prompts}; use a smaller --batch-size or more prompts"
        )
    return config
