"""Widgets that describe a comparison in the simulator."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from cobasim.data import RateOptions
from cobasim.errors import InputError
from cobasim.explorer import SHOWN, SimulationChoice
from cobasim.settings import validated
from cobasim.world import POPULATIONS, WORLD_DEFAULTS, WorldConfig, measured_loop
from cobasim_apps.allocators import allocator_help
from cobasim_apps.elements import BIND
from cobasim_apps.measured_world import measured_world
from cobasim_apps.options import allocator_names
from cobasim_apps.pass_rates import RatesFile, pass_rates_file

ORACLES = ("oracle-coba", "oracle-knapsack")
MEASURED_KIND = "measured"
FILE = "measured pass rates"
SIZES = {"steps": 150, "batch_size": 128, "total_budget": 2048, "low": 2, "high": 128}


@dataclass(frozen=True)
class _World:
    """A world, as the other widgets see it.

    Attributes:
        name: for ``--world``.
        tag: at the end of the keys of widgets whose defaults are this world's; "": of the others.
        loop: default sizes.
        pool, rate, noise: default number of prompts, learning rate, and gradient noise.
        most_noise: end of its slider.
        settings: of this world alone.
        rates: file of measured pass rates at which its prompts start; None: drawn.
    """

    name: str
    tag: str
    loop: Mapping[str, Any]
    pool: int
    rate: float
    noise: float
    most_noise: float
    settings: Mapping[str, Any]
    rates: RatesFile | None = None


def simulation_settings() -> SimulationChoice | None:
    """The comparison that the widgets describe; None where a message says why there is none.

    Raises InputError without allocators, and for a bad file of measured gradients.
    """
    of_world, of_batch, of_budgets, of_learning = st.columns(4)
    with of_world:
        kind = st.selectbox("World", [*WORLD_DEFAULTS, MEASURED_KIND], key="world", bind=BIND)
        world = _measured() if kind == MEASURED_KIND else _made(kind)
    if world is None:
        return None
    loop, tag, file = world.loop, world.tag, world.rates
    settings = dict(world.settings)
    with of_batch:
        if file is None:
            settings["num_prompts"] = _number(
                "Prompts in the pool", world.pool, (64, 50_000), 64, f"num{tag}"
            )
        batch = _number("Prompts per batch, M", loop["batch_size"], (8, 2048), 8, f"batch{tag}")
        budget = _number(
            "Rollouts per batch", loop["total_budget"], (8, 131_072), 8, f"budget{tag}"
        )
    with of_budgets:
        low = _number("Min rollouts per prompt", loop["low"], (0, 64), 1, f"sim_low{tag}")
        high = _number("Max rollouts per prompt", loop["high"], (1, 1024), 1, f"sim_high{tag}")
        steps = _number("Steps", loop["steps"], (10, 1000), 10, f"steps{tag}")
    with of_learning:
        seeds = _number("Seeds", 3, (1, 16), 1, "seeds")
        settings["learning_rate"] = st.number_input(
            "Learning rate", 1e-9, 1.0, world.rate, format="%.2g", key=f"lr_{tag or kind}",
            bind=BIND,
        )  # fmt: skip
    settings |= _noise(world)
    allocators, weighting = _allocators(), _weighting()
    if not allocators:
        raise InputError("choose at least one allocator")
    return SimulationChoice(
        allocators=allocators,
        weighting=weighting,
        seeds=seeds,
        options={
            "steps": steps,
            "world": world.name,
            "batch_size": batch,
            "total_budget": budget,
            "low": low,
            "high": high,
        },
        settings=settings,
        pass_rates=None if file is None else _shown(file.path),
        reading=RateOptions() if file is None else file.reading,
    )


def tag_of(name: str) -> str:
    """At the end of the keys of widgets whose defaults are those of the source of this name."""
    return "_" + hashlib.blake2b(name.encode(), digest_size=4).hexdigest()


def _shown(path: Path) -> str:
    """A file as the command names it, from whichever folder that is run."""
    return str(path.resolve())


def _noise(world: _World) -> dict[str, float]:
    """What decides whether uneven budgets pay off: the noise of a rollout, and of a prompt."""
    left, right = st.columns(2)
    with left:
        own = st.slider(
            "Noise of a rollout", 0.0, world.most_noise, world.noise, world.most_noise / 100,
            key=f"noise{world.tag}", bind=BIND,
            help="Gradient that has nothing to do with passing, drawn anew for each rollout. More "
            "rollouts of a prompt average it out.",
        )  # fmt: skip
    if world.tag:
        with right:
            st.caption(
                "What a prompt's rollouts share, and what prompts share, is in the file: it was "
                "measured."
            )
        return {"noise": own}
    with right:
        shared = st.slider(
            "Noise that a prompt's rollouts share", 0.0, 40.0, 0.0, 1.0, key="prompt_noise",
            bind=BIND,
            help="More rollouts of a prompt do not average it out, only more prompts do. It "
            "decides who wins: with 0, allocators that concentrate rollouts gain; at 20 they lose "
            "to uniform budgets, as they did in a real run.",
        )  # fmt: skip
    return {"noise": own, "prompt_noise": shared}


def _number(label: str, default: int, ends: tuple[int, int], step: int, key: str) -> int:
    """A whole number; a default beyond the ends moves them."""
    low, high = min(ends[0], default), max(ends[1], default)
    return int(st.number_input(label, low, high, default, step, key=key, bind=BIND))


def _made(name: str) -> _World | None:
    """A world that is not measured, with its prompts and transfer; None until there is a file."""
    defaults = WORLD_DEFAULTS[name]
    population = st.selectbox("Initial pass rates", [*POPULATIONS, FILE], key="pool", bind=BIND)
    file = None
    if population == FILE and (file := pass_rates_file()) is None:
        return None
    transfer = st.slider(
        "Transfer between prompts", 0.0, 1.0, defaults["transfer"], 0.05, key=f"transfer_{name}",
        bind=BIND,
    )  # fmt: skip
    settings = {"transfer": transfer} | ({} if file else {"population": population})
    return _World(
        name, "", SIZES, 4096, defaults["learning_rate"], 10.0, 100.0, settings, rates=file
    )


def _measured() -> _World | None:
    """A measured world: prompts, loop and update of its file are the defaults of the others."""
    name = measured_world()
    if name is None:
        return None
    config = validated(WorldConfig, {"world": name})
    tag = tag_of(name)
    st.caption(
        "Pass rates and transfer are those that were measured. The other fields start as in the "
        "run that was measured; noise 1 is the measured noise."
    )
    loop = SIZES | measured_loop(name)
    return _World(name, tag, loop, config.num_prompts, config.learning_rate, 1.0, 4.0, {})


def _allocators() -> tuple[str, ...]:
    return tuple(
        st.multiselect(
            "Allocators",
            [*allocator_names(), *ORACLES],
            default=SHOWN,
            key="sim_allocators",
            bind=BIND,
            help=allocator_help(),
        )
    )


def _weighting() -> str:
    chosen = st.segmented_control(
        "Loss weighting",
        ["rollout", "prompt", "both"],
        default="both",
        key="weighting",
        bind=BIND,
        help="rollout: every rollout counts alike. prompt: every prompt counts alike.",
    )
    return chosen or "both"
