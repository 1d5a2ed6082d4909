"""The plan of a ring: every allocator in many conditions.

A condition is a point of a sweep (world, population, noise, regime; in a measured world shape of
the batch, budget, learning rate, visits and more) under one weighting of the loss.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from cobasim.allocation import ALLOCATORS, find_allocator
from cobasim.errors import InputError, unknown_name
from cobasim.experiments.ring.measured_world import COLUMNS, measured_conditions
from cobasim.files import or_example
from cobasim.loop import Loop
from cobasim.records import Run
from cobasim.runs import BASELINE, ORACLE, Point, Sweep
from cobasim.scores import WallTime, accuracy_curve, is_oracle, known_share, wall_time_curve
from cobasim.world import MEASURED as MEASURED_WORLD
from cobasim.world import measured_loop

PRESETS = ("quick", "full")
MEASURED = "examples/pass_rates_tiny_lm.csv"
"""Pass rates of a real, tiny language model, which ship with the package."""

SIZES: dict[str, Any] = {
    "steps": 150, "batch_size": 128, "total_budget": 2048, "weightings": ("rollout", "prompt"),
}  # fmt: skip
SETTINGS: dict[str, Any] = {"num_prompts": 1024, "num_heldout": 1000}
SEEDS = {"quick": 3, "full": 5}

# Chosen with uniform budgets alone (seeds 100 to 102), so that these rise by 10 to 20 points in
# 150 steps of 128 prompts; see docs/ring.md
LEARNING_RATES: dict[str, dict[str, float]] = {
    "logistic": {"easy": 0.0048, "hard": 0.0095, "math": 0.0054, "measured": 0.0048},
    "skill-chain": {"easy": 0.08, "hard": 0.08, "math": 0.08, "measured": 0.08},
}
CLUSTERS = {"logistic": 8, "skill-chain": 4}
"""Fewer chains than in the default world, as the pool is smaller: with noise they learn too."""
TIME = WallTime(round_latency=60.0, generated_per_second=25.0, trained_per_second=25.0)
"""For a quarter of the usual rollouts: waiting, generating and training take a third each."""
NOISY_FACTOR = {"logistic": 2.5, "skill-chain": 3.0}
"""Factor on the learning rate where there is more noise than ``QUIET``."""

QUIET = (10.0, 0.0)
"""The least noise: of a rollout, and of a prompt."""


def condition(
    world: str,
    population: str,
    noise: tuple[float, float] = QUIET,
    *,
    regime_step: int | None = None,
    pass_rates: str | None = None,
) -> Point:
    """One point of the sweep; population "measured" starts prompts at the file ``pass_rates``."""
    rate = LEARNING_RATES[world][population]
    return {
        "world": world,
        "clusters": CLUSTERS[world],
        "population": "math" if population == "measured" else population,
        "pass_rates": pass_rates if population == "measured" else None,
        "noise": noise[0],
        "prompt_noise": noise[1],
        "regime_step": regime_step,
        "learning_rate": float(f"{rate * (1.0 if noise == QUIET else NOISY_FACTOR[world]):.6g}"),
    }


def conditions(preset: str, steps: int, pass_rates: str) -> tuple[Point, ...]:
    """The points of a preset; those of quick are among those of full."""
    full = preset == "full"
    populations = ("easy", "hard", "math", "measured") if full else ("math", "measured")
    noises = list(itertools.product((10.0, 40.0), (0.0, 20.0))) if full else [QUIET, (40.0, 20.0)]
    regimes = [QUIET, (40.0, 20.0)] if full else [QUIET]
    points = [
        condition(world, population, noise, pass_rates=pass_rates)
        for world in LEARNING_RATES
        for population in populations
        for noise in noises
    ]
    if steps >= 2:
        points += [
            condition(world, "math", noise, regime_step=steps // 2)
            for world in LEARNING_RATES
            for noise in regimes
        ]
    return tuple(points)


def measured_file(given: str | None = None) -> str:
    """The file of measured pass rates. Raises InputError if it does not exist."""
    file = MEASURED if given is None else given
    if or_example(file).is_file():
        return file
    raise InputError(f"{file} does not exist; give a file of measured pass rates with --pass-rates")


def plan(
    preset: str = "quick",
    allocators: Sequence[str] | None = None,
    *,
    seeds: int | None = None,
    steps: int | None = None,
    oracles: bool = True,
    pass_rates: str | None = None,
    reading: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    points: Sequence[Point] | None = None,
    world: str | None = None,
) -> Sweep:
    """The sweep of a ring.

    Args:
        preset: "quick" or "full".
        allocators: names, uniform among them; None: all of ALLOCATORS.
        seeds: at least two, for the tests; None: the preset's.
        steps: policy updates of a run; learning rates are chosen for the default. None: 150, or as
            measured.
        oracles: also run each as oracle-NAME that looks at pass rates.
        pass_rates: file of the measured population; None: ``MEASURED``.
        reading: fields of ``RateOptions``: how that file is read.
        settings: further settings of the world, the loop or allocators.
        points: conditions; None: the preset's.
        world: ``measured:FILE``: conditions are changes of what was measured
            (``measured_conditions``); None: the logistic and the skill-chain world.

    Raises InputError if a value is invalid, for a setting that conditions vary themselves (a
    measured world starts from it instead), and for pass rates beside a measured world.
    """
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    names = tuple(ALLOCATORS if allocators is None else allocators)
    if BASELINE not in names:
        raise InputError("--allocators must include uniform: differences are measured against it")
    if len(names) < 2:
        raise InputError(
            f"a ring needs at least two allocators, uniform among them, got {', '.join(names)}"
        )
    if shown := [name for name in names if is_oracle(name)]:
        raise InputError(f"{shown[0]}: oracles are added to the allocators named; leave it out")
    for name in names:
        find_allocator(name)
    seeds = SEEDS[preset] if seeds is None else seeds
    if seeds < 2:
        raise InputError(f"a ring needs at least 2 seeds for its tests, got {seeds}")
    given = dict(settings or {})
    chosen: dict[str, Any] = {"weightings": SIZES["weightings"]}
    based: tuple[str, ...] = ()  # what points set from the world's own values, or those given
    if world is None:
        steps = int(SIZES["steps"]) if steps is None else steps
        if points is None:
            points = conditions(preset, steps, measured_file(pass_rates))
        given, chosen = SETTINGS | given, chosen | SIZES
    else:
        _check_measured(world, pass_rates)
        points = measured_conditions(preset, world, names, steps, given).points
        steps = int(measured_loop(world).get("steps", SIZES["steps"])) if steps is None else steps
        chosen["world"], based = world, COLUMNS
    varied = {name for point in points for name in point if name not in based} & set(settings or {})
    if varied:
        raise InputError(
            f"--set {sorted(varied)[0]}: a ring's conditions set that themselves; to compare in "
            "one world, use cobasim compare or sweep, or give a measured one with --world"
        )
    if oracles:
        names += tuple(ORACLE + name for name in names if "beliefs" in find_allocator(name).needs)
    chosen |= {
        "allocators": names, "seeds": seeds, "steps": steps, "eval_every": max(1, steps // 15),
    }  # fmt: skip
    if reading:
        chosen["reading"] = dict(reading)
    return Sweep("quick", given, chosen, tuple(points))


def _check_measured(world: str, pass_rates: str | None) -> None:
    """Raise InputError for a world that is not measured, and for pass rates beside it."""
    if not world.startswith(MEASURED_WORLD):
        raise InputError(
            f"--world of a ring is measured:FILE, got {world}; without it the ring runs in the "
            f"worlds {' and '.join(LEARNING_RATES)}"
        )
    if pass_rates is not None:
        raise InputError(
            "a measured world has the pass rates that were measured: leave out --pass-rates"
        )


def measure(finished: Run, loop: Loop) -> dict[str, Any]:
    """Further columns of a run's row: rollouts, modelled seconds and held-out accuracy of its
    curve, and the share of its budgets that were given with an estimate.
    """
    rollouts, heldout = accuracy_curve(finished)
    return {
        "curve_rollouts": rollouts.tolist(),
        "curve_heldout": heldout.tolist(),
        "curve_seconds": wall_time_curve(finished, TIME)[0].tolist(),
        "known_share": known_share(finished),
    }
