"""What would it do to a run? A comparison in the simulator, watched while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from cobasim.explorer import Job, SimulationChoice, known_comparison
from cobasim.figures import final_differences
from cobasim.world import MEASURED
from cobasim_apps.allocators import parameter_sliders
from cobasim_apps.elements import chart, command_line, settings_fold, shown_errors
from cobasim_apps.job_progress import (
    job_in_address,
    origin_of_results,
    say_gone,
    show_progress,
    start_job,
)
from cobasim_apps.measured_world import measured_parts
from cobasim_apps.simulation_results import results
from cobasim_apps.simulation_settings import simulation_settings

MOST_VISITS, MOST_MEASURED = 20_000_000, 1_000_000
"""Prompt visits (runs x steps x M) of one simulation here: about a minute on two cores. Those of a
measured world take longer."""
JOB = "job"
EXPLANATION = """
Each allocator trains the same simulated policy, with the same prompts and the same number of
rollouts; only who gets the rollouts differs. What counts is held-out accuracy at the end, **minus
that of uniform budgets** with the same seed. Start with the settings as they are, or open them: the
prompts can be your own measured pass rates.
"""


def page() -> None:
    """Draw the page."""
    st.title("What would it do to a run?")
    st.markdown(EXPLANATION)
    job = job_in_address(JOB)
    head = st.container()
    if job is None:
        _made_before()
    choice = None
    with settings_fold("Settings"), shown_errors():
        choice = _with_parameters(simulation_settings())
    if choice is not None:
        with head, shown_errors():
            _offer(choice, job)
    if choice is not None and choice.options["world"].startswith(MEASURED):
        measured_parts(choice.options["world"])
    say_gone(JOB)
    if job is not None:
        origin_of_results(job, None if choice is None else choice.arguments)
        show_progress(job, job.steps_done, "steps", _results(job))


def _made_before() -> None:
    """A finished comparison, to show what an answer looks like, and what decides it."""
    known = known_comparison()
    if not known:
        return
    st.subheader("An example: the default settings, without and with shared noise")
    st.markdown(
        "The noise that a prompt's rollouts share decides, since only more prompts average it out. "
        "With the loss weighted per rollout CoBA gains without it, and loses with much of it, as "
        "it did in real runs."
    )
    ends = [
        end for rows in known.values() for row in rows
        if (gain := row.heldout_difference) is not None
        for end in (gain.mean, gain.low, gain.high) if end is not None
    ]  # fmt: skip
    scale = (100 * min(ends) - 0.2, 100 * max(ends) + 0.2)
    for (noise, rows), column in zip(known.items(), st.columns(len(known)), strict=True):
        with column:
            st.markdown(f"**Noise that a prompt's rollouts share: {noise:g}**")
            figure = final_differences([row for row in rows if row.weighting == "rollout"])
            chart(figure.update_xaxes(range=scale), f"known-{noise:g}")
    st.caption("Made beforehand; three seeds, 95 % intervals, differences paired by seed.")


def _results(job: Job) -> Callable[[], None]:
    return lambda: results(job)


def _with_parameters(choice: SimulationChoice | None) -> SimulationChoice | None:
    """The choice with what the sliders of the allocators' parameters say."""
    if choice is None:
        return None
    parameters = parameter_sliders(list(choice.allocators), prefix="sim")
    return replace(choice, settings={**choice.settings, **parameters})


def _offer(choice: SimulationChoice, job: Job | None) -> None:
    """The size of what was chosen, its command, and the button that starts it."""
    config = choice.config
    most = MOST_MEASURED if config.world.world.startswith(MEASURED) else MOST_VISITS
    too_large = choice.visits > most
    left, right = st.columns([1, 4], vertical_alignment="center")
    with left:
        start = st.button(
            "Start", type="primary", key="start",
            disabled=too_large or (job is not None and job.running),
        )  # fmt: skip
    with right:
        st.caption(
            f"{config.num_runs} runs of {config.loop.steps} steps with "
            f"{config.world.num_prompts:,} prompts, {choice.visits / 1e6:.1f} million prompt "
            f"visits; the limit here is {most / 1e6:.0f} million."
        )
    if job is None:
        st.caption("The same on the command line, where the size has no limit:")
        command_line(choice.arguments)
    if too_large:
        st.warning("Too large for this page: use fewer steps, seeds or prompts, or the command.")
    if start:
        start_job(
            JOB, choice.arguments, total=choice.total_steps, steps_each=config.loop.steps,
            previous=job,
        )  # fmt: skip
