"""One run: its loop, its header, and running it, in memory or recorded in a folder."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

from threadpoolctl import ThreadpoolController

from cobasim.allocation import make_allocator
from cobasim.arrays import FloatArray
from cobasim.data import read_pass_rates
from cobasim.loop import Loop, run
from cobasim.records import RunHeader, RunWriter, StepRecord, folder_name
from cobasim.runs.config import RunConfig
from cobasim.world import find_world


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # searches all loaded libraries: once, not every run


def one_thread() -> AbstractContextManager[Any]:
    """One thread of linear algebra inside, so that numbers do not depend on the number of jobs."""
    limiter: AbstractContextManager[Any] = _libraries().limit(limits=1)
    return limiter


@cache
def measured_pool(source: str | None) -> FloatArray | None:
    """The pass rates of a file, read once; None for None. Raises as ``read_pass_rates``."""
    return None if source is None else read_pass_rates(source)


def build_loop(config: RunConfig, pass_rates: FloatArray | None = None) -> Loop:
    """The simulated policy and the loop of one run, at its first step.

    Args:
        config: of the run.
        pass_rates: (pool,) where the prompts start; None: drawn from the world's population.
    """
    policy = find_world(config.world.world)(config.world, config.seed, pass_rates)
    weigh_as = None if config.weigh_as is None else make_allocator(config.weigh_as)
    return Loop(
        policy, config.loop, seed=config.seed, estimator=config.estimator, weigh_as=weigh_as
    )


def run_header(config: RunConfig) -> RunHeader:
    """The header of a simulated run's records."""
    return RunHeader.create(
        source="sim",
        seed=config.seed,
        allocator=config.allocator,
        estimator=config.estimator,
        weighting=config.world.weighting,
        world=config.world.world,
        config=config.model_dump(mode="json"),
    )


def simulate(
    config: RunConfig, pass_rates: FloatArray | None = None
) -> tuple[Loop, list[StepRecord]]:
    """Run one config in memory; the loop at its last step, and the records."""
    allocator = make_allocator(config.base_allocator, **config.parameters)
    with one_thread():
        loop = build_loop(config, pass_rates)
        return loop, run(loop, allocator)


def run_directory(out: Path, config: RunConfig) -> Path:
    """Where a run of a comparison is written below ``out``."""
    return out / config.world.weighting / folder_name(config.allocator) / f"seed-{config.seed:03d}"


def execute(config: RunConfig, out: Path, pass_rates: FloatArray | None = None) -> Path:
    """Run one config and record it in its directory below ``out``; returns the directory."""
    path = run_directory(out, config)
    allocator = make_allocator(config.base_allocator, **config.parameters)
    with one_thread():
        loop = build_loop(config, pass_rates)
        with RunWriter(path, run_header(config)) as writer:
            run(loop, allocator, on_step=writer.append)
    return path
