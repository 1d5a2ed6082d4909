"""A small sweep over one or two settings, or a finished one opened."""

from __future__ import annotations

import streamlit as st

from cobasim.errors import InputError
from cobasim.explorer import SweepChoice
from cobasim.runs import TABLE, Parameter
from cobasim_apps.elements import BIND, command_line
from cobasim_apps.job_progress import job_in_address, save_form, show_progress, start_job
from cobasim_apps.options import allocator_names, options
from cobasim_apps.sweep_results import sweep_results

MOST_RUNS, MOST_STEPS = 400, 40_000
RANGES = {
    "kappa": "5,8,11,15,21",
    "tau": "1:64:log:5",
    "gamma": "2:40:log:5",
    "window": "1,3,10,30",
    "low": "0,2,4,8",
    "high": "16,32,64,128",
    "total_budget": "1024,2048,4096,8192",
    "noise": "0,3,10,30",
    "transfer": "0:1:5",
    "learning_rate": "3e-4:3e-2:log:5",
    "estimator": "last,window,posterior",
    "population": "math,easy,hard,middling",
}
NEW, FINISHED = "New sweep", "Finished sweep"
JOB = "sweep_job"


def page() -> None:
    """Draw the page."""
    st.title("Sensitivity")
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
    choice = _choice()
    runs = choice.num_runs
    too_large = runs > MOST_RUNS or runs * choice.steps > MOST_STEPS
    job = job_in_address(JOB)
    left, right = st.columns([1, 4])
    with left:
        start = st.button(
            "Start", type="primary", key="sweep_start",
            disabled=too_large or (job is not None and job.running),
        )  # fmt: skip
    with right:
        st.caption(
            f"{runs} runs of {choice.steps} steps; the limit here is {MOST_RUNS} runs and "
            f"{MOST_STEPS:,} steps in total. Batches of {choice.batch_size} prompts and "
            f"{choice.total_budget:,} rollouts from a pool of {choice.num_prompts:,} prompts. No "
            "size limit on the command line:"
        )
    command_line(choice.arguments)
    if too_large:
        st.warning("Too large for this page: use fewer values, seeds or steps, or the command.")
    if start:
        start_job(JOB, choice.arguments, total=runs, previous=job)
    if job is not None:
        show_progress(job, job.rows_done, "runs")
        if not job.running and (job.out / TABLE).exists():
            sweep_results(job.out)
            save_form(job, "Save sweep as", "sweep", key="sweep_name")


def _choice() -> SweepChoice:
    """The sweep that the widgets describe. Raises InputError."""
    first = _parameter(1, "tau", without=None)
    assert first is not None
    second = _parameter(2, "none", without=first.partition("=")[0])
    for_allocators, for_seeds, for_steps, for_world = st.columns(4)
    with for_allocators:
        allocators = st.multiselect(
            "Allocators", allocator_names(), default=["uniform", "coba"],
            key="sweep_allocators", bind=BIND,
        )  # fmt: skip
    with for_seeds:
        seeds = st.number_input("Seeds", 2, 16, 3, key="sweep_seeds", bind=BIND)
    with for_steps:
        steps = st.number_input("Steps", 10, 500, 100, 10, key="sweep_steps", bind=BIND)
    with for_world:
        world = st.selectbox("World", ["logistic", "skill-chain"], key="sweep_world", bind=BIND)
    if not allocators:
        raise InputError("choose at least one allocator")
    return SweepChoice(
        parameters=(first,) if second is None else (first, second),
        allocators=tuple(allocators),
        seeds=int(seeds),
        steps=int(steps),
        world=world,
    )


def _parameter(number: int, default: str, *, without: str | None) -> str | None:
    """``name=values`` of a swept setting; None where the second is none."""
    names = [name for name in RANGES if name != without]
    if number > 1:
        names = ["none", *names]
    left, right = st.columns([1, 2])
    with left:
        name = st.selectbox(
            f"Setting {number}", names, index=names.index(default), key=f"name{number}", bind=BIND
        )
    if name == "none":
        return None
    with right:
        values = st.text_input(
            f"Values of {name}", RANGES[name], key=f"values_{name}", bind=BIND,
            help="A list (7,11,15), or a range: LOW:HIGH, then :log, :int or the number of values.",
        )  # fmt: skip
    text = f"{name}={values}"
    Parameter.parse(text)  # a bad value is reported beside its field, before the other widgets
    return text
