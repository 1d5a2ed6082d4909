"""Widgets that describe a comparison in the simulator."""

from __future__ import annotations

import streamlit as st

from cobasim.errors import InputError
from cobasim.explorer import SimulationChoice
from cobasim.world import POPULATIONS, WORLD_DEFAULTS
from cobasim_apps.allocators import allocator_help
from cobasim_apps.elements import BIND
from cobasim_apps.options import allocator_names

ORACLES = ("oracle-coba", "oracle-knapsack")


def simulation_settings() -> SimulationChoice:
    """The comparison that the widgets describe. Raises InputError without allocators."""
    of_world, of_batch, of_budgets, of_learning = st.columns(4)
    with of_world:
        world = st.selectbox("World", list(WORLD_DEFAULTS), key="world", bind=BIND)
        defaults = WORLD_DEFAULTS[world]
        population = st.selectbox("Initial pass rates", list(POPULATIONS), key="pool", bind=BIND)
        transfer = st.slider(
            "Transfer between prompts", 0.0, 1.0, defaults["transfer"], 0.05,
            key=f"transfer_{world}", bind=BIND,
        )  # fmt: skip
    with of_batch:
        pool = st.number_input("Prompts in the pool", 64, 50_000, 4096, 64, key="num", bind=BIND)
        batch = st.number_input("Prompts per batch, M", 8, 2048, 128, 8, key="batch", bind=BIND)
        budget = st.number_input("Rollouts per batch", 8, 131_072, 2048, 8, key="budget", bind=BIND)
    with of_budgets:
        low = st.number_input("Min rollouts per prompt", 0, 64, 2, key="sim_low", bind=BIND)
        high = st.number_input("Max rollouts per prompt", 1, 1024, 128, key="sim_high", bind=BIND)
        steps = st.number_input("Steps", 10, 1000, 150, 10, key="steps", bind=BIND)
    with of_learning:
        seeds = st.number_input("Seeds", 1, 16, 3, key="seeds", bind=BIND)
        rate = st.number_input(
            "Learning rate", 1e-5, 1.0, defaults["learning_rate"], format="%.2g",
            key=f"lr_{world}", bind=BIND,
        )  # fmt: skip
        noise = st.slider("Gradient noise", 0.0, 100.0, 10.0, 1.0, key="noise", bind=BIND)
    allocators, weighting = _allocators(), _weighting()
    if not allocators:
        raise InputError("choose at least one allocator")
    return SimulationChoice(
        allocators=allocators,
        weighting=weighting,
        seeds=int(seeds),
        options={
            "steps": int(steps),
            "world": world,
            "batch_size": int(batch),
            "total_budget": int(budget),
            "low": int(low),
            "high": int(high),
        },
        settings={
            "num_prompts": int(pool),
            "population": population,
            "transfer": transfer,
            "learning_rate": rate,
            "noise": noise,
        },
    )


def _allocators() -> tuple[str, ...]:
    return tuple(
        st.multiselect(
            "Allocators",
            [*allocator_names(), *ORACLES],
            default=["uniform", "knapsack", "coba"],
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
