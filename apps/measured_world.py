"""Widgets that choose a measured world: an example, a file in the folder of runs, or an upload."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cobasim.explorer import (
    describe_measured,
    keep_measured,
    measured_worlds,
    parts_of,
    world_of,
)
from cobasim.figures import gradient_parts, parts_over_steps, shared_between_levels
from cobasim_apps.elements import BIND, chart, folded, plain
from cobasim_apps.job_progress import jobs
from cobasim_apps.options import options
from cobasim_apps.uploads import Files, uploaded

UPLOAD = "Upload"
MOST_MIB = 100


def measured_world() -> str | None:
    """The world that the widgets choose, ``measured:FILE``; None until there is a file.

    Says what the file is. Raises InputError for a file that is not of measured gradients.
    """
    known = measured_worlds(options().runs)
    chosen = st.selectbox(
        "Measured gradients", [*known, UPLOAD], key="measured", bind=BIND,
        help=f"A file of `cobatrain gradients`: an example, one in {options().shown}, or your own.",
    )  # fmt: skip
    world = known.get(chosen)
    if world is None:
        files = _uploaded()
        if not files:
            st.info(
                "Upload a file of `cobatrain gradients`, or several of the same prompts at "
                "different steps."
            )
            return None
        world = world_of(files)
    st.caption(plain(describe_measured(world)))
    return world


def measured_parts(world: str) -> None:
    """The three parts of the gradients of a measured world, for those who unfold them."""
    found = parts_of(world)
    if not found:
        return
    part = folded(
        "What was measured: three parts of the gradients, by pass rate and by level", "parts"
    )
    if not part.open:
        return
    with part:
        st.markdown(
            "**within**: of a rollout, which more rollouts of its prompt average out. **own**: of "
            "a prompt, which all its rollouts share and only more prompts average out. **shared**: "
            "between prompts, what they teach each other. The larger *own* beside *within*, the "
            "less concentrated budgets gain."
        )
        left, right = st.columns(2)
        first = min(found)
        with left:
            chart(gradient_parts(found[first]), "parts-rate")
        with right:
            chart(shared_between_levels(found[first]), "parts-levels")
        if len(found) > 1:
            rows = [found[step]["all"] for step in sorted(found)]
            chart(parts_over_steps(sorted(found), rows), "parts-steps")


def _uploaded() -> list[Path] | None:
    """The uploaded files; None until there are some."""

    def keep(files: Files) -> list[Path]:
        folder = jobs().root / "measured"
        return [keep_measured(name, content, folder) for name, content in files]

    return uploaded(
        "Files of measured gradients, npz", keep, key="measured_upload", types=["npz"],
        several=True, most_mib=MOST_MIB, instead="measure fewer prompts, or with a smaller --rank",
    )  # fmt: skip
