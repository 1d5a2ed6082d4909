"""Widgets about allocators: their summaries, and sliders for their parameters."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cobasim.allocation import describe_allocators
from cobasim_apps.elements import BIND, plain
from cobasim_apps.options import allocator_names

_SLIDERS = {  # label, smallest, largest, default, step
    "kappa": ("kappa = alpha + beta", 3.0, 40.0, 11.0, 0.5),
    "gamma": ("gamma, steepness", 0.5, 40.0, 10.0, 0.5),
    "tau": ("tau, saturation scale (rollouts)", 0.5, 64.0, 8.0, 0.5),
}


def allocator_help() -> str:
    """One line per allocator."""
    rows = describe_allocators(allocator_names())
    return "\n".join(f"- **{plain(row['name'])}**: {row['summary']}" for row in rows)


def parameter_sliders(allocators: list[str], *, prefix: str, columns: int = 3) -> dict[str, Any]:
    """Sliders for the parameters that some of the allocators take; returns what was changed.

    prefix: of the sliders' keys.
    """
    parameters = {
        row["name"]: {item["name"] for item in row["parameters"]}
        for row in describe_allocators(allocator_names())
    }
    taken = {name for allocator in allocators for name in parameters.get(allocator, ())}
    shown = [name for name in _SLIDERS if name in taken]
    changed: dict[str, Any] = {}
    places = st.columns(columns) if shown else []
    for number, name in enumerate(shown):
        label, low, high, default, step = _SLIDERS[name]
        with places[number % columns]:
            value = st.slider(label, low, high, default, step, key=f"{prefix}_{name}", bind=BIND)
        if value != default:
            changed[name] = value
    return changed
