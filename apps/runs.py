"""Every run below a folder, simulated or real: a table, one or several opened, live."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from cobasim import figures
from cobasim.explorer import (
    describe_run,
    has_column,
    last_samples,
    run_folders,
    shortened,
    state,
    written,
)
from cobasim.records import Run, read_run
from cobasim_apps.elements import BIND, chart_or_reason, command_line, plain
from cobasim_apps.options import options

MOST_OPEN = 12
CURVES = {  # column: (title, axis)
    "learner.reward": ("Mean reward of the rollouts", "reward"),
    "learner.loss": ("Loss", "loss"),
    "learner.grad_norm": ("Gradient norm", "norm before clipping"),
    "learner.entropy": ("Entropy of the policy", "nats per token"),
    "learner.response_length": ("Response length", "tokens"),
    "learner.log_prob_gap_mean": ("Log-prob difference between engine and model, mean", "nats"),
    "mixed_share": ("Share of mixed groups", "share of the batch"),
    "alpha": ("Alpha of the preference density", "alpha"),
    "failure_rate": ("Failure rate", "share of rollouts, mean over prompts"),
    "budget_max": ("Largest budget", "rollouts"),
    "budget_gini": ("Inequality of budgets", "Gini coefficient"),
}


def page() -> None:
    """Draw the page."""
    st.title("Runs")
    folder, shown = options().runs, options().shown
    if not folder.is_dir():
        st.info(
            f"The folder {plain(shown)} does not exist yet. Simulate something and save it, or "
            "start the app on another folder:"
        )
        command_line(["explore", "--runs", "FOLDER"])
        return
    st.caption(f"Folder: {plain(shown)}")
    live()


@st.fragment(run_every=2.0)
def live() -> None:
    """The table and the open runs, read again every two seconds, since runs may still grow."""
    top = options().runs
    rows = [_row(name, path) for name, path in run_folders(top)]
    if not rows:
        st.info("No runs here yet.")
        return
    hidden = {"planned"} | (set() if any(row["problem"] for row in rows) else {"problem"})
    st.dataframe(
        [{key: value for key, value in row.items() if key not in hidden} for row in rows],
        hide_index=True,
        key="all",
        height=min(38 + 35 * len(rows), 300),
    )
    readable = [row["run"] for row in rows if not row["problem"]]
    chosen = st.multiselect(
        "Open runs", readable, default=[name for name in readable if name == _first()],
        key="open", bind=BIND, max_selections=MOST_OPEN,
    )  # fmt: skip
    for row in rows:
        if row["problem"]:
            st.warning(f"{plain(row['run'])}: {plain(row['problem'])}")
    if not chosen:
        st.info("Choose one run, or several to compare.")
        return
    _draw({name: _read(str(top / name), written(top / name)) for name in chosen})


def _row(name: str, path: Path) -> dict[str, Any]:
    last, _ = stamp = written(path)
    described = _described(str(path), stamp)
    return {"run": name, "state": state(described, time.time() - last), **described}


def _first() -> str | None:
    """Name of the run that the app was started with."""
    top, run = options().runs, options().run
    if run is None or not run.is_relative_to(top):
        return None
    return str(run.relative_to(top))


@st.cache_data(max_entries=256, show_spinner=False)
def _read(path: str, stamp: tuple[float, int]) -> Run:
    del stamp  # part of the cache's key: a run that has grown is read again
    return read_run(path)


@st.cache_data(max_entries=8000, show_spinner=False)
def _described(path: str, stamp: tuple[float, int]) -> dict[str, Any]:
    del stamp
    return describe_run(path)


def _draw(runs: Mapping[str, Run]) -> None:
    """Curves of all opened runs, and one run in detail."""
    _curves(shortened(runs))
    name = st.selectbox("Run details", list(runs), key="detail")
    run = runs[name]
    left, right = st.columns(2)
    with left:
        chart_or_reason(lambda: figures.budget_heatmap([run], run.header.allocator), "heat")
        if run.header.source == "train":
            chart_or_reason(lambda: figures.phase_seconds(run), "phases")
    with right:
        chart_or_reason(lambda: figures.budgets_by_pass_rate([run]), "bins")
        if run.header.source == "sim":
            chart_or_reason(lambda: figures.transition_matrices([run]), "transitions")
    samples = last_samples(run.path)
    if samples:
        with st.expander(f"The last {len(samples)} recorded rollouts"):
            st.dataframe(samples, hide_index=True, key="samples")
    with st.expander("Settings and versions"):
        st.json({"config": run.header.config, "versions": run.header.versions}, expanded=1)


def _curves(runs: dict[str, Run]) -> None:
    chart_or_reason(
        lambda: figures.run_curves(
            runs, "evaluation.heldout", against="rollouts", scale=100,
            title="Held-out accuracy", axis="held-out accuracy (%)",
        ),
        "heldout",
    )  # fmt: skip
    recorded = [name for name in CURVES if any(has_column(run, name) for run in runs.values())]
    for pair in _pairs(recorded):
        for place, name in zip(st.columns(2), pair, strict=False):
            title, axis = CURVES[name]
            with place:
                chart_or_reason(
                    partial(figures.run_curves, runs, name, title=title, axis=axis), name
                )


def _pairs(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[at : at + 2] for at in range(0, len(names), 2)]
