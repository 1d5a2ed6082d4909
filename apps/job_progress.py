"""Jobs of the app: their registry, their progress on a page, and the form that saves them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import streamlit as st

from cobasim.explorer import Job, Jobs, differences, save, time_left
from cobasim_apps.elements import command_line, plain, shown_errors
from cobasim_apps.options import options


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """The one registry of this server."""
    return Jobs()


def job_in_address(key: str) -> Job | None:
    """The job whose token is in the address."""
    return jobs().known.get(st.query_params.get(key, ""))


def start_job(
    key: str, arguments: list[str], *, total: int, steps_each: int = 0, previous: Job | None
) -> None:
    """Start a job, put its token into the address, and draw the page anew.

    previous: the page's last job, which is forgotten unless it was saved.
    """
    if previous is not None and previous.saved is None:
        jobs().forget(previous)
    job = jobs().start(arguments, total=total, steps_each=steps_each)
    st.query_params[key] = job.token
    st.rerun()


def say_gone(key: str) -> None:
    """A hint where the address has the token of a job that is no more."""
    if key in st.query_params and job_in_address(key) is None:
        st.info("Those results are gone: the server was restarted. Start again.")


def origin_of_results(job: Job, now: Sequence[str] | None) -> None:
    """The command that made a job's results, and what the settings above say by now.

    now: the command that the settings stand for; None: they stand for none.
    """
    if now is None:
        st.warning("The results below were made with other settings than those above.")
    elif changed := differences(job.arguments, now):
        listed = "\n".join(f"- {plain(line)}" for line in changed)
        st.warning(
            "The settings have changed since these results. Start again to see what the change "
            f"does:\n{listed}"
        )
    st.caption("These results were made by")
    command_line(job.arguments)


def show_progress(
    job: Job, done: Callable[[], int], unit: str, results: Callable[[], None] = lambda: None
) -> None:
    """A progress bar with a button to stop, and ``results``; anew every second while it runs.

    done: how much of ``job.total`` is done, in ``unit``.
    """
    every = 1.0 if job.running else None

    @st.fragment(run_every=every)
    def live() -> None:
        state = job.state
        reached = min(done(), job.total)
        text = f"{state}: {reached:,} of {job.total:,} {unit}"
        if state == "running":
            if (left := time_left(reached, job.total, time.monotonic() - job.started)) is not None:
                text += f", {left}"
            left_side, right_side = st.columns([5, 1], vertical_alignment="center")
            left_side.progress(reached / job.total, text=text)
            if right_side.button("Stop", key="stop"):
                job.stop()
                st.rerun()
        else:
            st.progress(reached / job.total, text=text)
        if (error := job.error()) is not None:
            st.error(plain(error))
        with shown_errors():
            results()
        if every is not None and state != "running":
            st.rerun()

    live()


def save_form(job: Job, label: str, name: str, *, key: str) -> None:
    """A form that copies what a job wrote into the folder of runs."""
    with st.form(f"{key}_form", border=False):
        chosen = st.text_input(label, f"{name}-{job.token}", key=key)
        if st.form_submit_button("Save"):
            with shown_errors():
                target = save(job, chosen, options().runs)
                st.success(f"Saved: {plain(str(target))}")
