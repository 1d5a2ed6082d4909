"""Results of a comparison as they come: picture, verdicts, figures, and what can be kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from cobasim import figures
from cobasim.errors import InputError
from cobasim.explorer import Job, comparison_csv, comparison_rows, finished_runs
from cobasim.records import Run, find_runs, read_run
from cobasim.runs import BASELINE, REPORT
from cobasim.scores import Row, comparison_table, verdict
from cobasim.updates import WEIGHTINGS
from cobasim_apps.elements import BIND, chart, plain
from cobasim_apps.job_progress import save_form

Draw = Callable[[list[Run]], go.Figure]
CURVES: dict[str, Draw] = {  # the difference first: accuracies have bands wider than it
    "difference": figures.difference_to_baseline,
    "accuracy": figures.accuracy,
    "alpha": figures.alpha_over_time,
    "mixed": figures.mixed_share,
}


def results(job: Job) -> None:
    """Everything that the job's records show so far."""
    paths = find_runs(job.out) if job.out.is_dir() else []
    runs = [run for path in paths if (run := read_run(path)).steps]
    runs.sort(key=lambda run: WEIGHTINGS.index(run.header.weighting))
    if not runs:
        if (said := job.before_records()) is not None:
            st.info(said)
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
    """The answer as a picture, and as numbers."""
    if any(row.heldout_difference is not None for row in rows):
        chart(figures.final_differences(rows), "final")
    st.caption(
        f"Final held-out accuracy of the {finished} finished runs, at equal rollouts; 95 % "
        "intervals over seeds, differences paired by seed."
    )
    with st.expander("The numbers"):
        st.dataframe(comparison_rows(rows), hide_index=True, key="table")


def _all_figures(runs: Sequence[Run], *, running: bool) -> None:
    """One column of figures per weighting; those of one kind share their y-axis."""
    last = max(step.step for run in runs for step in run.steps)
    allocators = list(dict.fromkeys(run.header.allocator for run in runs))
    weightings = list(dict.fromkeys(run.header.weighting for run in runs))
    by_weighting = {
        weighting: [run for run in runs if run.header.weighting == weighting]
        for weighting in weightings
    }
    for name, draw in CURVES.items():
        _pair(name, draw, by_weighting)
    step = last
    if last > 1 and not running:
        step = st.slider("Step", 1, last, last, key="look", bind=BIND)
    first = next((place for place, name in enumerate(allocators) if name != BASELINE), 0)
    shown = st.selectbox("Show budgets of", allocators, first, key="heat_of", bind=BIND)
    budgets: dict[str, Draw] = {
        "heat": lambda runs: figures.budget_heatmap(runs, shown, step),
        "bins": lambda runs: figures.budgets_by_pass_rate(runs, [step]),
        "transitions": lambda runs: figures.transition_matrices(runs, columns=2),
    }
    for name, draw in budgets.items():
        _pair(name, draw, by_weighting)


def _pair(name: str, draw: Draw, by_weighting: Mapping[str, list[Run]]) -> None:
    """One figure per weighting, side by side, with one y-axis; or why there is none."""
    drawn: dict[str, go.Figure | InputError] = {}
    for weighting, runs in by_weighting.items():
        try:
            drawn[weighting] = draw(runs)
        except InputError as error:
            drawn[weighting] = error
    figures.share_scales([figure for figure in drawn.values() if isinstance(figure, go.Figure)])
    places = st.columns(len(drawn))
    for place, (weighting, found) in zip(places, drawn.items(), strict=True):
        with place:
            if isinstance(found, InputError):
                st.caption(plain(str(found)))
            else:
                chart(found, f"{name}-{weighting}")


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
