"""A small sweep over one or two settings, or a finished one opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import streamlit as st

from cobasim.errors import InputError
from cobasim.figures import sweep_heatmap, sweep_line
from cobasim.runs.sweep import PLAN, ROWS, TABLE, Parameter, Sweep, points, read_table
from cobasim.scores import METRICS, effects, with_differences
from cobasim_apps import common
from cobasim_apps.common import BIND, chart_or_reason
from cobasim_apps.jobs import Job, jobs, save

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


def page() -> None:
    """Draw the page."""
    st.title("Sensitivity")
    kind = st.segmented_control(
        "Show", ["a new small sweep", "a finished sweep"], default="a new small sweep",
        key="show", bind=BIND,
    )  # fmt: skip
    if kind == "a finished sweep":
        _open()
    else:
        _new()


def _open() -> None:
    folder = common.options().runs
    found = sorted(path.parent for path in folder.rglob(TABLE)) if folder.is_dir() else []
    names = [str(path.relative_to(folder)) for path in found]
    if not names:
        st.info("There is no sweep below the folder of runs. `cobasim sweep --help` makes one.")
        return
    name = st.selectbox("Sweep", names, key="sweep", bind=BIND)
    _show(folder / name)


def _parameter(number: int, default: str, others: list[str]) -> Parameter | None:
    names = [name for name in RANGES if name not in others]
    if number > 1:
        names = ["none", *names]
    one, two = st.columns([1, 2])
    with one:
        name = st.selectbox(
            f"Setting {number}", names, index=names.index(default), key=f"name{number}", bind=BIND
        )
    if name == "none":
        return None
    with two:
        text = st.text_input(
            f"Values of {name}", RANGES[name], key=f"values_{name}", bind=BIND,
            help="A list (7,11,15) or a range (LOW:HIGH, then :log, :int, and a number of levels).",
        )  # fmt: skip
    return Parameter.parse(f"{name}={text}")


def _new() -> None:
    first = _parameter(1, "tau", [])
    assert first is not None
    second = _parameter(2, "none", [first.name])
    one, two, three, four = st.columns(4)
    with one:
        allocators = st.multiselect(
            "Allocators", common.allocator_names(), default=["uniform", "coba"],
            key="sweep_allocators", bind=BIND,
        )  # fmt: skip
    with two:
        seeds = st.number_input("Seeds", 2, 16, 3, key="sweep_seeds", bind=BIND)
    with three:
        steps = st.number_input("Steps", 10, 500, 100, 10, key="sweep_steps", bind=BIND)
    with four:
        world = st.selectbox("World", ["logistic", "skill-chain"], key="sweep_world", bind=BIND)
    if not allocators:
        raise InputError("choose at least one allocator")
    parameters = [first] if second is None else [first, second]
    settings: dict[str, Any] = {"num_prompts": 4096}
    chosen: dict[str, Any] = {
        "allocators": tuple(allocators), "seeds": int(seeds), "steps": int(steps), "world": world,
        "weightings": ("rollout", "prompt"), "batch_size": 128, "total_budget": 2048,
    }  # fmt: skip
    total = Sweep("quick", settings, chosen, tuple(points(parameters))).num_runs
    arguments = ["sweep", "--allocators", ",".join(allocators), "--seeds", str(int(seeds))]
    arguments += ["--steps", str(int(steps)), "--world", world, "--batch-size", "128"]
    arguments += ["--total-budget", "2048", "--set", "num_prompts=4096"]
    for parameter in parameters:
        text = st.session_state[f"values_{parameter.name}"]
        arguments += ["--param", f"{parameter.name}={text}"]
    too_large = total > MOST_RUNS or total * steps > MOST_STEPS
    token = st.query_params.get("sweep_job")
    job = jobs().known.get(token) if token else None
    left, right = st.columns([1, 4])
    with left:
        start = st.button(
            "Start", type="primary", key="sweep_start",
            disabled=too_large or (job is not None and job.running),
        )  # fmt: skip
    with right:
        st.caption(
            f"{total} runs of {steps} steps; at most {MOST_RUNS} runs and {MOST_STEPS:,} steps in "
            "all here. M = 128, B = 2,048, 4,096 prompts. On the command line, of any size:"
        )
    common.command_line(["cobasim", *arguments])
    if too_large:
        st.warning("Too large for this page: use fewer values, seeds or steps, or the command.")
    if start:
        if job is not None and job.saved is None:
            jobs().forget(job)
        job = jobs().start(arguments)
        job.extra["runs"] = total
        st.query_params["sweep_job"] = job.token
        st.rerun()
    if job is not None:
        _watch(job)


def _watch(job: Job) -> None:
    @st.fragment(run_every=1.0 if job.running else None)
    def progress() -> None:
        was_running = job.running
        total = job.extra["runs"]
        state = "running" if was_running else "stopped" if job.stopped else "finished"
        left, right = st.columns([5, 1], vertical_alignment="center")
        done = min(job.rows_done(), total)
        with left:
            st.progress(done / total, text=f"{state}: {done} of {total} runs")
        with right:
            if was_running and st.button("Stop", key="sweep_stop"):
                job.stop()
                st.rerun()
        if (error := job.error()) is not None:
            st.error(common.plain(error))
        if not was_running and done == total and "shown" not in job.extra:
            job.extra["shown"] = 1
            st.rerun()

    progress()
    if not job.running and (job.out / TABLE).exists():
        _show(job.out)
        with st.form("sweep_save", border=False):
            name = st.text_input("Save as", f"sweep-{job.token}", key="sweep_name")
            if st.form_submit_button("Save"):
                with common.shown_errors():
                    st.success(
                        f"Saved: {common.plain(str(save(job, name, common.options().runs)))}"
                    )


@st.cache_data(max_entries=16, show_spinner=False)
def _read(folder: str, stamp: float) -> tuple[list[str], list[dict[str, Any]]]:
    del stamp
    names, rows = read_table(Path(folder))
    return names, with_differences(rows)


def _show(folder: Path) -> None:
    names, rows = _read(str(folder), (folder / TABLE).stat().st_mtime)
    if not rows:
        st.info("This sweep has no finished runs yet.")
        return
    total = len(list((folder / ROWS).glob("*.json")))
    if total > len(rows):
        st.caption(f"{total} runs are stored, the table has {len(rows)}: the sweep is going on.")
    metrics = [name for name in METRICS if any(row.get(name) is not None for row in rows)]
    one, two, three = st.columns(3)
    with one:
        metric = st.selectbox(
            "Figure of", metrics, format_func=lambda name: METRICS[name][0],
            index=metrics.index("minus_uniform") if "minus_uniform" in metrics else 0,
            key="metric",
        )  # fmt: skip
    with two:
        parameter = st.selectbox("Over", names, key="over")
    with three:
        second = st.selectbox(
            "Heatmap against",
            ["none", *[n for n in names if n != parameter]],
            index=min(1, len(names) - 1),
            key="against",
        )
    weightings = list(dict.fromkeys(row["weighting"] for row in rows))
    allocators = [
        name for name in dict.fromkeys(row["allocator"] for row in rows)
        if any(row["allocator"] == name and row.get(metric) is not None for row in rows)
    ]  # fmt: skip
    for place, weighting in zip(st.columns(len(weightings)), weightings, strict=True):
        with place:
            chart_or_reason(
                lambda w=weighting: sweep_line(rows, parameter, metric, w),  # type: ignore[misc]
                f"line-{weighting}",
            )
            if second != "none":
                for name in allocators:
                    chart_or_reason(
                        lambda w=weighting, a=name: sweep_heatmap(  # type: ignore[misc]
                            rows, parameter, second, metric, w, a
                        ),
                        f"heat-{weighting}-{name}",
                    )
            st.caption(f"Effect sizes, loss weighted per {weighting}")
            found = effects(rows, names, metric, weighting)
            st.dataframe(
                [
                    {key: round(v, 3) if isinstance(v, float) else str(v) for key, v in row.items()}
                    for row in found
                ],
                hide_index=True,
                key=f"effects-{weighting}",
            )
    with st.expander("The plan"):
        st.json(json.loads((folder / PLAN).read_text()), expanded=1)
