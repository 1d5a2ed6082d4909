"""One run: its loop, its header, and running it, in memory or recorded in a folder."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from cobasim.allocation import make_allocator
from cobasim.arrays import FloatArray, IntArray
from cobasim.data import MeasuredRates, RateOptions, read_measured
from cobasim.errors import InputError
from cobasim.loop import Loop, run
from cobasim.records import RunHeader, RunWriter, StepRecord, folder_name
from cobasim.runs.config import RunConfig
from cobasim.streams import EVIDENCE, stream
from cobasim.world import SimulatedPolicy, find_world


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # searches all loaded libraries: once, not every run


def one_thread() -> AbstractContextManager[Any]:
    """One thread of linear algebra inside, so that numbers do not depend on the number of jobs."""
    limiter: AbstractContextManager[Any] = _libraries().limit(limits=1)
    return limiter


@cache
def measured_pool(source: str | None, reading: RateOptions | None = None) -> MeasuredRates | None:
    """The measured pass rates of a file, read once; None for None.

    Raises as ``read_measured``, and for standard input, from which runs cannot be repeated, and if
    rows without a value are to be kept: a simulated prompt has to start somewhere.
    """
    if source is None:
        return None
    if source == "-":
        raise InputError(
            "runs are repeated from their file of pass rates: give a file, not standard input"
        )
    if reading is not None and reading.missing == "unseen":
        raise InputError(
            "a simulated prompt needs a pass rate to start at: leave rows without a value out "
            "(--missing skip)"
        )
    return read_measured(source, reading)


def build_loop(config: RunConfig, pool: MeasuredRates | None = None) -> Loop:
    """The simulated policy and the loop of one run, at its first step.

    Args:
        config: of the run.
        pool: where the prompts start; None: drawn from the world's population.

    Raises InputError if beliefs are to start from counts that the pool does not have.
    """
    rates = None if pool is None else pool.pass_rate
    policy = find_world(config.world.world)(config.world, config.seed, rates)
    weigh_as = None if config.weigh_as is None else make_allocator(config.weigh_as)
    return Loop(
        policy,
        config.loop,
        seed=config.seed,
        estimator=config.estimator,
        weigh_as=weigh_as,
        counts=_first_counts(config, policy, pool),
    )


def _first_counts(
    config: RunConfig, policy: SimulatedPolicy, pool: MeasuredRates | None
) -> tuple[IntArray, IntArray] | None:
    """Attempts and passes (P,) that beliefs start from; None: every prompt is unseen.

    Each prompt was tried as often as in the file, but its passes are drawn anew from where it
    starts here: beliefs that began with the file's own counts would know the truth.
    """
    known = known_attempts(config.loop.first_beliefs, pool)
    if known is None:
        return None
    attempts = np.rint(known).astype(np.int64)
    rates = policy.pass_rates(np.arange(policy.num_prompts))
    passes = stream(config.seed, EVIDENCE).binomial(attempts, rates)
    return attempts, passes


def known_attempts(first_beliefs: str, pool: MeasuredRates | None) -> FloatArray | None:
    """Attempts (P,) that beliefs start from; None: every prompt is unseen.

    Raises InputError if they are wanted and the pool does not have them.
    """
    if first_beliefs != "measured":
        return None
    if pool is None or pool.attempts is None:
        raise InputError(
            "first_beliefs=measured needs a file of pass rates with attempts (--pass-rates, and "
            "--attempts or --out-of)"
        )
    return pool.attempts


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


def simulate(config: RunConfig, pool: MeasuredRates | None = None) -> tuple[Loop, list[StepRecord]]:
    """Run one config in memory; the loop at its last step, and the records."""
    allocator = make_allocator(config.base_allocator, **config.parameters)
    with one_thread():
        loop = build_loop(config, pool)
        return loop, run(loop, allocator)


def run_directory(out: Path, config: RunConfig) -> Path:
    """Where a run of a comparison is written below ``out``."""
    return out / config.world.weighting / folder_name(config.allocator) / f"seed-{config.seed:03d}"


def execute(config: RunConfig, out: Path, pool: MeasuredRates | None = None) -> Path:
    """Run one config and record it in its directory below ``out``; returns the directory."""
    path = run_directory(out, config)
    allocator = make_allocator(config.base_allocator, **config.parameters)
    with one_thread():
        loop = build_loop(config, pool)
        with RunWriter(path, run_header(config)) as writer:
            run(loop, allocator, on_step=writer.append)
    return path
