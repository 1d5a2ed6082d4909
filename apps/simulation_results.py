"""Results of a comparison as they come: table, verdicts, figures, and what can be kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from cobasim import figures
from cobasim.explorer import Job, comparison_csv, comparison_rows, finished_runs
from cobasim.records import Run, find_runs, read_run
from cobasim.runs import BASELINE, REPORT
from cobasim.scores import Row, comparison_table, verdict
from cobasim.updates import WEIGHTINGS
from cobasim_apps.elements import chart_or_reason, plain
from cobasim_apps.job_progress import save_form


def results(job: Job) -> None:
    """Everything that the job's records show so far."""
    paths = find_runs(job.out) if job.out.is_dir() else []
    runs = [run for path in paths if (run := read_run(path)).steps]
    runs.sort(key=lambda run: WEIGHTINGS.index(run.header.weighting))
    if not runs:
        st.info("The first records appear in a second or two.")
        return
    finished = finished_runs(runs, job.steps_each)
    rows = comparison_table(finished, BASELINE)
    if rows:
        _table(rows, len(finished))
    if rows and not job.running:
        for weighting, text in verdict(rows).items():
            st.markdown(f"**Loss weighted per {weighting}:** {plain(text)}")
    _all_figures(runs, running=job.running)
    if rows and not job.running:
        _keep(job, rows)


def _table(rows: Sequence[Row], finished: int) -> None:
    st.dataframe(comparison_rows(rows), hide_index=True, key="table")
    st.caption(
        f"Final held-out accuracy of the {finished} finished runs, at equal rollouts; ± half of a "
        "95 % interval over seeds; differences are paired by seed."
    )


def _all_figures(runs: Sequence[Run], *, running: bool) -> None:
    """One column of figures per weighting."""
    last = max(step.step for run in runs for step in run.steps)
    step = last
    if last > 1 and not running:
        step = st.slider("Step", 1, last, last, key="look")
    allocators = list(dict.fromkeys(run.header.allocator for run in runs))
    first = next((place for place, name in enumerate(allocators) if name != BASELINE), 0)
    shown = st.selectbox("Show budgets of", allocators, first, key="heat_of")
    weightings = list(dict.fromkeys(run.header.weighting for run in runs))
    for column, weighting in zip(st.columns(len(weightings)), weightings, strict=True):
        own = [run for run in runs if run.header.weighting == weighting]
        with column:
            for name, draw in _figures(own, shown, step).items():
                chart_or_reason(draw, f"{name}-{weighting}")


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


def _keep(job: Job, rows: Sequence[Row]) -> None:
    left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
    with left:
        save_form(job, "Save runs as", "explore", key="name")
    with middle:
        st.download_button(
            "Download table (CSV)",
            partial(comparison_csv, rows),
            "comparison.csv",
            on_click="ignore",
        )
    report = job.out / REPORT
    with right:
        if report.exists():
            st.download_button(
                "Download report (HTML)", report.read_bytes, "report.html", "text/html",
                on_click="ignore",
            )  # fmt: skip
