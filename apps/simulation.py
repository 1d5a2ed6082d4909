"""A comparison in the simulator, watched while it runs."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from cobasim.explorer import Job, SimulationChoice
from cobasim.world import MEASURED
from cobasim_apps.allocators import parameter_sliders
from cobasim_apps.elements import command_line
from cobasim_apps.job_progress import job_in_address, show_progress, start_job
from cobasim_apps.simulation_results import results
from cobasim_apps.simulation_settings import simulation_settings

MOST_VISITS, MOST_MEASURED = 20_000_000, 1_000_000
"""Prompt visits (runs x steps x M) of one simulation here: about a minute on two cores. Those of a
measured world take longer."""
JOB = "job"


def page() -> None:
    """Draw the page."""
    st.title("A simulated run")
    with st.expander("Settings", expanded=JOB not in st.query_params):
        choice = simulation_settings()
    job = job_in_address(JOB)
    if choice is not None:
        _offer(choice, job)
    if job is not None:
        show_progress(job, job.steps_done, "steps", lambda: results(job))
    elif JOB in st.query_params:
        st.info("That simulation is gone: the server was restarted. Start it again.")


def _offer(choice: SimulationChoice, job: Job | None) -> None:
    """The size of what was chosen, its command, and the button that starts it."""
    config = choice.config
    most = MOST_MEASURED if config.world.world.startswith(MEASURED) else MOST_VISITS
    parameters = parameter_sliders(list(config.allocators), prefix="sim")
    choice = replace(choice, settings={**choice.settings, **parameters})
    too_large = choice.visits > most
    left, right = st.columns([1, 4])
    with left:
        start = st.button(
            "Start", type="primary", key="start",
            disabled=too_large or (job is not None and job.running),
        )  # fmt: skip
    with right:
        st.caption(
            f"{config.num_runs} runs of {config.loop.steps} steps, {choice.visits / 1e6:.1f} "
            f"million prompt visits; the limit here is {most / 1e6:.0f} million. No size "
            "limit on the command line:"
        )
    command_line(choice.arguments)
    if too_large:
        st.warning("Too large for this page: use fewer steps, seeds or prompts, or the command.")
    if start:
        start_job(
            JOB, choice.arguments, total=choice.total_steps, steps_each=config.loop.steps,
            previous=job,
        )  # fmt: skip
