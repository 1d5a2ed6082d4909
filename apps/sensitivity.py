"""What does it depend on? A small sweep over one or two settings, or a finished one opened."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from cobasim.errors import InputError
from cobasim.explorer import SHOWN, Job, SweepChoice
from cobasim.runs import TABLE, Parameter
from cobasim_apps.elements import BIND, command_line, plain, settings_fold, shown_errors
from cobasim_apps.job_progress import (
    job_in_address,
    origin_of_results,
    save_form,
    say_gone,
    show_progress,
    start_job,
)
from cobasim_apps.options import allocator_names, options
from cobasim_apps.sweep_results import sweep_results

MOST_RUNS, MOST_STEPS = 400, 40_000
RANGES = {
    "prompt_noise": "0,5,10,20",
    "noise": "0,3,10,30",
    "transfer": "0:1:5",
    "learning_rate": "3e-4:3e-2:log:5",
    "population": "math,easy,hard,middling",
    "tau": "1:64:log:5",
    "kappa": "5,8,11,15,21",
    "gamma": "2:40:log:5",
    "window": "1,3,10,30",
    "low": "0,2,4,8",
    "high": "16,32,64,128",
    "total_budget": "1024,2048,4096,8192",
    "estimator": "last,window,posterior",
}
NEW, FINISHED = "New sweep", "Finished sweep"
JOB = "sweep_job"
EXPLANATION = """
The same comparison again and again, with one or two settings changed: which of them decide whether
uneven budgets pay off? In our own runs the **weighting of the loss** decided first, then the
**noise that a prompt's rollouts share** (`prompt_noise`), which more rollouts of that prompt do not
average out.
"""


@dataclass(frozen=True)
class _Swept:
    """One swept setting: ``name=values``, and what is wrong with it."""

    text: str | None
    problem: InputError | None = None


def page() -> None:
    """Draw the page."""
    st.title("What does it depend on?")
    st.markdown(EXPLANATION)
    kind = st.segmented_control("Show", [NEW, FINISHED], default=NEW, key="show", bind=BIND)
    if kind == FINISHED:
        _finished()
    else:
        _new()


def _finished() -> None:
    """Open a sweep below the folder of runs."""
    folder = options().runs
    paths = sorted(path.parent for path in folder.rglob(TABLE)) if folder.is_dir() else []
    names = [str(path.relative_to(folder)) for path in paths]
    if not names:
        st.info("The folder of runs holds no sweep. To make one, see `cobasim sweep --help`.")
        return
    name = st.selectbox("Sweep", names, key="sweep", bind=BIND)
    sweep_results(folder / name)


def _new() -> None:
    """Describe a small sweep, start it, and watch it."""
    job = job_in_address(JOB)
    head = st.container()
    with settings_fold("Settings", expanded=job is None):
        choice = _choice()
    if choice is not None:
        with head, shown_errors():
            _offer(choice, job)
    say_gone(JOB)
    if job is not None:
        origin_of_results(job, None if choice is None else choice.arguments)
        show_progress(job, job.rows_done, "runs")
        if not job.running and (job.out / TABLE).exists():
            sweep_results(job.out)
            save_form(job, "Save sweep as", "sweep", key="sweep_name")
        elif job.state == "stopped":
            st.info("It was stopped before its table was written: there is nothing to show.")


def _offer(choice: SweepChoice, job: Job | None) -> None:
    """The size of what was chosen, its command, and the button that starts it."""
    runs = choice.num_runs
    too_large = runs > MOST_RUNS or runs * choice.steps > MOST_STEPS
    left, right = st.columns([1, 4], vertical_alignment="center")
    with left:
        start = st.button(
            "Start", type="primary", key="sweep_start",
            disabled=too_large or (job is not None and job.running),
        )  # fmt: skip
    with right:
        st.caption(
            f"{runs} runs of {choice.steps} steps; the limit here is {MOST_RUNS} runs and "
            f"{MOST_STEPS:,} steps in total. Batches of {choice.batch_size} prompts and "
            f"{choice.total_budget:,} rollouts from a pool of {choice.num_prompts:,} prompts."
        )
    if job is None:
        st.caption("The same on the command line, where the size has no limit:")
        command_line(choice.arguments)
    if too_large:
        st.warning("Too large for this page: use fewer values, seeds or steps, or the command.")
    if start:
        start_job(JOB, choice.arguments, total=runs, previous=job)


def _choice() -> SweepChoice | None:
    """The sweep that the widgets describe; None where a message says what is wrong with it."""
    first = _parameter(1, "prompt_noise", without=None)
    assert first.text is not None
    second = _parameter(2, "none", without=first.text.partition("=")[0])
    for_allocators, for_seeds, for_steps, for_world = st.columns(4)
    with for_allocators:
        allocators = st.multiselect(
            "Allocators", allocator_names(), default=SHOWN, key="sweep_allocators", bind=BIND,
        )  # fmt: skip
    with for_seeds:
        seeds = st.number_input("Seeds", 2, 16, 3, key="sweep_seeds", bind=BIND)
    with for_steps:
        steps = st.number_input("Steps", 10, 500, 100, 10, key="sweep_steps", bind=BIND)
    with for_world:
        world = st.selectbox("World", ["logistic", "skill-chain"], key="sweep_world", bind=BIND)
    if not allocators:
        st.error("choose at least one allocator")
        return None
    if first.problem or second.problem:
        return None
    return SweepChoice(
        parameters=tuple(swept.text for swept in (first, second) if swept.text is not None),
        allocators=tuple(allocators),
        seeds=int(seeds),
        steps=int(steps),
        world=world,
    )


def _parameter(number: int, default: str, *, without: str | None) -> _Swept:
    """A swept setting as its two fields say, with a message below them if that is wrong.

    Its text is None where the second setting is none.
    """
    names = [name for name in RANGES if name != without]
    if number > 1:
        names = ["none", *names]
    left, right = st.columns([1, 2])
    with left:
        name = st.selectbox(
            f"Setting {number}", names, index=names.index(default), key=f"name{number}", bind=BIND
        )
    if name == "none":
        return _Swept(None)
    with right:
        values = st.text_input(
            f"Values of {name}", RANGES[name], key=f"values_{name}", bind=BIND,
            help="A list (7,11,15), or a range: LOW:HIGH, then :log, :int or the number of values.",
        )  # fmt: skip
        text = f"{name}={values}"
        try:
            Parameter.parse(text)
        except InputError as error:
            st.error(plain(str(error)))
            return _Swept(text, error)
    return _Swept(text)
