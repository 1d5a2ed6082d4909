"""A comparison in the simulator, watched while it runs."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import plotly.graph_objects as go
import streamlit as st

from cobasim import figures
from cobasim.errors import InputError
from cobasim.records import Run, find_runs, read_run
from cobasim.runs.comparison import REPORT, CompareConfig, settle
from cobasim.scores import Interval, Row, comparison_table, verdict
from cobasim.settings import validated
from cobasim.updates import WEIGHTINGS
from cobasim.world import WORLD_DEFAULTS
from cobasim.world.prompts import POPULATIONS
from cobasim_apps import common
from cobasim_apps.common import BIND
from cobasim_apps.jobs import Job, jobs, save

MOST_VISITS = 20_000_000
"""Prompt visits (runs x steps x M) of one simulation here: about a minute on two cores."""


def page() -> None:
    """Draw the page."""
    st.title("A simulated run")
    with st.expander("Settings", expanded="job" not in st.query_params):
        arguments, config = _settings()
    given = common.parameters(list(config.allocators), prefix="sim")
    arguments += [word for name, value in given.items() for word in ("--set", f"{name}={value:g}")]
    visits = config.num_runs * config.loop.steps * config.loop.batch_size
    token = st.query_params.get("job")
    job = jobs().known.get(token) if token else None
    left, right = st.columns([1, 4])
    with left:
        running = job is not None and job.running
        start = st.button(
            "Start", type="primary", disabled=running or visits > MOST_VISITS, key="start"
        )
    with right:
        st.caption(
            f"{config.num_runs} runs of {config.loop.steps} steps. At most "
            f"{MOST_VISITS / 1e6:.0f} million prompt visits are simulated here, this is "
            f"{visits / 1e6:.1f} million. On the command line, of any size:"
        )
    common.command_line(["cobasim", *arguments])
    if visits > MOST_VISITS:
        st.warning("Too large for this page: use fewer steps, seeds or prompts, or the command.")
    if start:
        if job is not None and job.saved is None:
            jobs().forget(job)
        job = jobs().start(arguments)
        job.extra = {
            "steps": config.num_runs * config.loop.steps,
            "steps_each": config.loop.steps,
        }
        st.query_params["job"] = job.token
        st.rerun()
    if job is not None:
        _watch(job)
    elif token:
        st.info("That simulation is gone: the server was started anew. Start it again.")


def _settings() -> tuple[list[str], CompareConfig]:
    """The arguments of ``cobasim`` that the widgets stand for, and what they come to."""
    one, two, three, four = st.columns(4)
    with one:
        world = st.selectbox("World", list(WORLD_DEFAULTS), key="world", bind=BIND)
        population = st.selectbox("First pass rates", list(POPULATIONS), key="pool", bind=BIND)
        transfer = st.slider(
            "Transfer between prompts", 0.0, 1.0, WORLD_DEFAULTS[world]["transfer"], 0.05,
            key=f"transfer_{world}", bind=BIND,
        )  # fmt: skip
    with two:
        prompts = st.number_input("Prompts in the pool", 64, 50_000, 4096, 64, key="num", bind=BIND)
        batch = st.number_input("Prompts in a batch, M", 8, 2048, 128, 8, key="batch", bind=BIND)
        budget = st.number_input(
            "Rollouts in a batch", 8, 131_072, 2048, 8, key="budget", bind=BIND
        )
    with three:
        low = st.number_input("Fewest of a prompt", 0, 64, 2, key="sim_low", bind=BIND)
        high = st.number_input("Most of a prompt", 1, 1024, 128, key="sim_high", bind=BIND)
        steps = st.number_input("Steps", 10, 1000, 150, 10, key="steps", bind=BIND)
    with four:
        seeds = st.number_input("Seeds", 1, 16, 3, key="seeds", bind=BIND)
        rate = st.number_input(
            "Learning rate", 1e-5, 1.0, WORLD_DEFAULTS[world]["learning_rate"], format="%.2g",
            key=f"lr_{world}", bind=BIND,
        )  # fmt: skip
        noise = st.slider("Noise of the gradient", 0.0, 100.0, 10.0, 1.0, key="noise", bind=BIND)
    allocators = st.multiselect(
        "Allocators",
        [*common.allocator_names(), "oracle-coba", "oracle-knapsack"],
        default=["uniform", "knapsack", "coba"],
        key="sim_allocators",
        bind=BIND,
        help=common.allocator_help(),
    )
    weighting = st.segmented_control(
        "Prompts weighted in the loss",
        ["rollout", "prompt", "both"],
        default="both",
        key="weighting",
        bind=BIND,
        help="rollout: every rollout counts alike; prompt: every prompt counts alike.",
    )
    if not allocators:
        raise InputError("choose at least one allocator")
    weighting = weighting or "both"
    plain = {
        "--allocators": ",".join(allocators),
        "--seeds": int(seeds),
        "--steps": int(steps),
        "--world": world,
        "--weighting": weighting,
        "--batch-size": int(batch),
        "--total-budget": int(budget),
        "--low": int(low),
        "--high": int(high),
    }
    further = {
        "num_prompts": int(prompts),
        "population": population,
        "transfer": transfer,
        "learning_rate": rate,
        "noise": noise,
    }
    arguments = ["compare"]
    for name, value in plain.items():
        arguments += [name, str(value)]
    for name, value in further.items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        arguments += ["--set", f"{name}={text}"]
    values = settle(
        "quick",
        further,
        allocators=tuple(allocators),
        weightings=("rollout", "prompt") if weighting == "both" else (weighting,),
        seeds=int(seeds),
        steps=int(steps),
        world=world,
        batch_size=int(batch),
        total_budget=int(budget),
        low=int(low),
        high=int(high),
    )
    config = validated(CompareConfig, values)
    if config.loop.batch_size > config.world.num_prompts:
        raise InputError(
            f"a batch of {batch} distinct prompts needs a pool of at least as many, got {prompts}"
        )
    return arguments, config


def _watch(job: Job) -> None:
    """Progress, and results as they come; anew every second while the process is there."""
    every = 1.0 if job.running else None

    @st.fragment(run_every=every)
    def live() -> None:
        was_running = job.running
        total = job.extra.get("steps", 1)
        done = min(job.steps_done(), total)
        state = "running" if was_running else "stopped" if job.stopped else "finished"
        text = f"{state}: {done:,} of {total:,} steps"
        if was_running:
            left, right = st.columns([5, 1], vertical_alignment="center")
            left.progress(done / total, text=text)
            if right.button("Stop", key="stop"):
                job.stop()
                st.rerun()
        else:
            st.progress(done / total, text=text)
        if (error := job.error()) is not None:
            st.error(common.plain(error))
        with common.shown_errors():
            _results(job)
        if every is not None and not was_running:
            st.rerun()

    live()


def _results(job: Job) -> None:
    runs = [run for path in _paths(job) if (run := read_run(path)).steps]
    runs.sort(key=lambda run: WEIGHTINGS.index(run.header.weighting))
    if not runs:
        st.info("The first records come in a second or two.")
        return
    weightings = list(dict.fromkeys(run.header.weighting for run in runs))
    finished = _finished(runs, job.extra["steps_each"])
    rows = comparison_table(finished, "uniform")
    if rows:
        _table(rows, len(finished))
    if rows and not job.running:
        for weighting, text in verdict(rows).items():
            st.markdown(f"**Loss weighted per {weighting}:** {common.plain(text)}")
    last = max(step.step for run in runs for step in run.steps)
    chosen = last
    if last > 1:
        chosen = (
            st.slider("Step to look at", 1, last, last, key="look") if not job.running else last
        )
    allocators = list(dict.fromkeys(run.header.allocator for run in runs))
    adaptive = [number for number, name in enumerate(allocators) if name != "uniform"]
    first = adaptive[0] if adaptive else 0
    shown = st.selectbox("Heatmap and budgets of", allocators, first, key="heat_of")
    columns = st.columns(len(weightings))
    for column, weighting in zip(columns, weightings, strict=True):
        own = [run for run in runs if run.header.weighting == weighting]
        with column:
            for name, draw in _figures(own, shown, chosen).items():
                common.chart_or_reason(draw, f"{name}-{weighting}")
    if rows and not job.running:
        _keep(job, rows)


def _figures(runs: list[Run], shown: str, step: int) -> dict[str, Callable[[], go.Figure]]:
    return {
        "accuracy": lambda: figures.accuracy(runs),
        "difference": lambda: figures.difference_to_baseline(runs),
        "alpha": lambda: figures.alpha_over_time(runs),
        "mixed": lambda: figures.mixed_share(runs),
        "heat": lambda: figures.budget_heatmap(runs, shown, step),
        "bins": lambda: figures.budgets_by_pass_rate(runs, [step]),
        "transitions": lambda: figures.transition_matrices(runs, columns=2),
    }


def _paths(job: Job) -> list[Path]:
    return find_runs(job.out) if job.out.is_dir() else []


def _finished(runs: Sequence[Run], steps: int) -> list[Run]:
    """Runs that came to their end: equal rollouts."""
    return [run for run in runs if run.steps[-1].step == steps]


def _cell(interval: Interval | None) -> str:
    if interval is None:
        return ""
    if interval.high is None:
        return f"{100 * interval.mean:.2f}"
    return f"{100 * interval.mean:.2f} ± {100 * (interval.high - interval.mean):.2f}"


def _flat(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [
        {
            "loss weighted per": row.weighting,
            "allocator": row.allocator,
            "seeds": len(row.seeds),
            "held-out (%)": _cell(row.heldout),
            "minus uniform (points)": _cell(row.heldout_difference),
        }
        for row in rows
    ]


def _table(rows: Sequence[Row], finished: int) -> None:
    st.dataframe(_flat(rows), hide_index=True, key="table")
    st.caption(
        f"Final held-out accuracy of the {finished} finished runs, at equal rollouts; ± half of a "
        "95 % interval over seeds, paired by seed."
    )


def _keep(job: Job, rows: Sequence[Row]) -> None:
    one, two, three = st.columns([2, 1, 1], vertical_alignment="bottom")
    with one, st.form("save", border=False):
        name = st.text_input("Save as a folder of runs", f"explore-{job.token}", key="name")
        if st.form_submit_button("Save"):
            with common.shown_errors():
                target = save(job, name, common.options().runs)
                st.success(f"Saved: {common.plain(str(target))}")
    with two:
        text = io.StringIO()
        flat = [
            {
                key: value
                for key, value in dataclasses.asdict(row).items()
                if isinstance(value, (str, int, float))
            }
            | {
                "heldout": row.heldout.mean if row.heldout else None,
                "difference": row.heldout_difference.mean if row.heldout_difference else None,
            }
            for row in rows
        ]
        writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        st.download_button("Table as CSV", text.getvalue(), "comparison.csv", on_click="ignore")
    report = job.out / REPORT
    with three:
        if report.exists():
            st.download_button(
                "Figures as HTML",
                report.read_bytes(),
                "report.html",
                "text/html",
                on_click="ignore",
            )
