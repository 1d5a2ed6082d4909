"""My runs: every run below a folder, simulated or real, in a table, one or several opened, live."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import streamlit as st

from cobasim import figures
from cobasim.explorer import (
    HIDDEN,
    describe_run,
    grouped,
    has_column,
    last_samples,
    matching,
    report_of,
    reports_of,
    run_folders,
    run_time_left,
    shortened,
    state,
    written,
)
from cobasim.records import Run, read_run
from cobasim_apps.elements import BIND, chart_or_reason, command_line, plain
from cobasim_apps.options import options
from cobasim_apps.stored_runs import stored_run

MOST_OPEN = 12
OPEN, TABLE, NOTE = "open", "all", "opened_note"
RUN, SETTING = "one run", "one setting, over seeds"
SORT = {  # column, largest first
    "name": ("run", False),
    "newest first": ("created", True),
    "held-out accuracy": ("held-out (%)", True),
    "allocator": ("allocator", False),
    "state": ("state", False),
}
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
    "evaluation.estimate_error": (
        "Error of the pool's estimated pass rates",
        "mean absolute error",
    ),
    "evaluation.estimate_correlation": (
        "Correlation of estimated and true pass rates",
        "correlation over the pool",
    ),
}


def page() -> None:
    """Draw the page."""
    st.title("My runs")
    folder, shown = options().runs, options().shown
    if not folder.is_dir():
        st.info(
            f"The folder {plain(shown)} does not exist yet. Simulate something and save it, or "
            "start the app on another folder:"
        )
        command_line(["explore", "--runs", "FOLDER"])
        return
    st.markdown(
        f"Every simulated, real or imported run in {plain(shown)}. Tick rows of the table to open "
        "runs; those that are being written grow as you watch."
    )
    live()


@st.fragment(run_every=2.0)
def live() -> None:
    """The table and the open runs, read again every two seconds, since runs may still grow."""
    top = options().runs
    rows = [_row(name, path) for name, path in run_folders(top)]
    if not rows:
        st.info("No runs here yet.")
        return
    readable = [row["run"] for row in rows if not row["problem"]]
    picture, listing = st.container(), st.container()
    with listing:
        listed = _listed(rows)
        _table(listed)
        chosen = st.multiselect(
            "Open runs", readable, default=[name for name in readable if name == _first()],
            key=OPEN, bind=BIND, max_selections=MOST_OPEN, select_all=False,
        )  # fmt: skip
        if (note := st.session_state.get(NOTE)) is not None:
            st.caption(note)
        _reports(listed, chosen)
        for row in rows:
            if row["problem"]:
                st.warning(f"{plain(row['run'])}: {plain(row['problem'])}")
    if not chosen:
        return
    runs = {name: stored_run(top / name) for name in chosen}
    with picture:
        _heldout(shortened(runs))
    _draw(runs)


def _listed(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that the filter leaves, in the chosen order."""
    left, middle, right = st.columns([2, 1, 1])
    with left:
        words = st.text_input(
            "Filter", key="filter", bind=BIND, placeholder="coba prompt",
            help="Words that a row has to contain, all of them.",
        )  # fmt: skip
    with middle:
        by = st.selectbox("Sort by", list(SORT), key="sort", bind=BIND)
    with right:
        st.segmented_control("A row is", [RUN, SETTING], default=RUN, key="row", bind=BIND)
    column, downwards = SORT[by]
    found = matching(rows, words)
    known = [row for row in found if row.get(column) is not None]
    unknown = [row for row in found if row.get(column) is None]
    return sorted(known, key=lambda row: row[column], reverse=downwards) + unknown


def _table(rows: Sequence[Mapping[str, Any]]) -> None:
    """The listed runs, or their settings with mean and interval over seeds; rows can be chosen."""
    if not rows:
        st.info("No run matches the filter.")
        return
    shown: list[dict[str, Any]]
    if st.session_state.get("row") == SETTING:
        groups = grouped(rows)
        names = [group["runs"] for group in groups]
        shown = groups
    else:
        names = [[row["run"]] if not row["problem"] else [] for row in rows]
        shown = [dict(row) for row in rows]
    empty = {key for key in ("problem", "time left") if not any(row.get(key) for row in shown)}
    st.dataframe(
        [
            {key: value for key, value in row.items() if key not in empty and key not in HIDDEN}
            for row in shown
        ],
        hide_index=True,
        key=TABLE,
        height=min(38 + 35 * len(shown), 300),
        on_select=partial(_open, names),
        alt="Runs" if names and len(names[0]) < 2 else "Settings",
    )


def _open(names: Sequence[Sequence[str]]) -> None:
    """Open what was chosen in the table; say so if that is more than can be open."""
    rows = st.session_state[TABLE]["selection"]["rows"]
    chosen = [name for row in rows if row < len(names) for name in names[row]]
    st.session_state.pop(NOTE, None)
    if not chosen:
        return
    st.session_state[OPEN] = chosen[:MOST_OPEN]
    if len(chosen) > MOST_OPEN:
        st.session_state[NOTE] = (
            f"You chose {len(chosen)} runs; the first {MOST_OPEN} are open, the most that one "
            "picture shows. The report has all runs of the table."
        )


def _reports(listed: Sequence[Mapping[str, Any]], chosen: Sequence[str]) -> None:
    """Reports to download: of the listed runs, made now, and those that stand beside open runs."""
    top, shown = options().runs, options().shown
    usable = [row for row in listed if row.get("held-out (%)") is not None]
    seen = {(row["weighting"], row["allocator"], row["seed"]) for row in usable}
    if len(usable) > 1 and len(seen) == len(usable):
        st.download_button(
            f"Download the comparison of these {len(usable)} runs as one file (HTML)",
            lambda: report_of([read_run(top / row["run"]) for row in usable], shown),
            "report.html",
            "text/html",
            on_click="ignore",
            key="own_report",
        )
    elif len(usable) > 1:
        st.caption(
            "To download a comparison as one file, filter the table down to it: now two runs have "
            "the same weighting, allocator and seed."
        )
    for folder, path in reports_of(chosen, top).items():
        st.download_button(
            f"Download the report of {folder} (HTML)", path.read_bytes, "report.html", "text/html",
            on_click="ignore", key=f"report-{folder}",
        )  # fmt: skip


def _row(name: str, path: Path) -> dict[str, Any]:
    last, _ = stamp = written(path)
    described = _described(str(path), stamp)
    doing = state(described, time.time() - last)
    left = run_time_left(described, last) if doing == "running" else None
    return {"run": name, "state": doing, "time left": left or "", **described}


def _first() -> str | None:
    """Name of the run that the app was started with."""
    top, run = options().runs, options().run
    if run is None or not run.is_relative_to(top):
        return None
    return str(run.relative_to(top))


@lru_cache(maxsize=8000)  # Streamlit's cache takes longer than all else on the page
def _described(path: str, stamp: tuple[float, int]) -> dict[str, Any]:
    del stamp
    return describe_run(path)


def _draw(runs: Mapping[str, Run]) -> None:
    """Further curves of all opened runs, and one run in detail."""
    _curves(shortened(runs))
    name = st.selectbox("Run details", list(runs), key="detail", bind=BIND)
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


def _heldout(runs: dict[str, Run]) -> None:
    chart_or_reason(
        lambda: figures.run_curves(
            runs, "evaluation.heldout", against="rollouts", scale=100,
            title="Held-out accuracy", axis="held-out accuracy (%)",
        ),
        "heldout",
    )  # fmt: skip


def _curves(runs: dict[str, Run]) -> None:
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
