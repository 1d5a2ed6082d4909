"""A small measured policy in the middle of a run, and problems made of random numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from measured_files import made

from cobasim.allocation import Limits, uniform_budgets
from cobasim.experiments.studies import Options, Study
from cobasim.experiments.studies.best_budgets import StepProblem, update_moments
from cobasim.gradients import write_measured
from cobasim.loop import LoopConfig
from cobasim.runs import RunConfig, build_loop
from cobasim.world import WorldConfig

SMALL = Limits(16, 2, 10)


def small_config(folder: Path, weighting: str = "rollout", **settings) -> RunConfig:
    """A uniform run of a made-up measured world: 8 prompts and 64 rollouts a step."""
    file = folder / "made.npz"
    if not file.exists():
        write_measured(made(), file)
    world = WorldConfig(world=f"measured:{file}", weighting=weighting, **settings)
    loop = LoopConfig(batch_size=8, total_budget=64, steps=30)
    return RunConfig(allocator="uniform", world=world, loop=loop)


def study_options(study: Study, folder: Path, preset: str = "tiny", *more: str) -> Options:
    """Options of a study, with a world for one that is about a given world."""
    if not study.needs_world:
        return Options(preset, more)
    world = small_config(folder).world.world
    return Options(preset, more, world, {"batch_size": 8, "total_budget": 64})


def small_policy(folder: Path, weighting: str = "rollout", steps: int = 5, **settings):
    """Its policy after some steps."""
    policy = build_loop(small_config(folder, weighting, **settings)).learner
    for step in range(steps):
        prompts = np.arange(8) + 7 * step
        policy.rollout(prompts, uniform_budgets(8, Limits(64, 2, 64)))
        policy.update()
    return policy


def random_problem(
    seed: int,
    size: int = 4,
    limits: Limits = SMALL,
    places: int | None = None,
    weighting: str = "rollout",
    scale: str = "own",
) -> StepProblem:
    """Random gradients, curvature and pass rates."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0.02, 0.98, size)
    gradients = rng.standard_normal((size, 6))
    bent = rng.standard_normal((6, 6))
    return StepProblem(
        rate=rate,
        rise=gradients @ rng.standard_normal(6),
        bend=gradients @ (bent + bent.T - 2 * np.eye(6)) @ gradients.T,
        gram=gradients @ gradients.T + np.diag(rng.uniform(0.1, 1.0, size)),
        noise=rng.uniform(0.5, 1.5, size),
        noise_bend=-2.0,
        noise_square=3.0,
        moments=update_moments(rate, limits.high),
        stride=rng.uniform(0.1, 1.0),
        clip=0.5,
        kept=0.3,
        fresh=0.1,
        weighting=weighting,
        scale=scale,
        limits=limits,
        places=size if places is None else places,
    )
