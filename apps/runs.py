"""Every run below a folder, simulated or real: a table, one or several opened, live."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import streamlit as st

from cobasim import figures
from cobasim.errors import InputError
from cobasim.records import HEADER_FILE, STEPS_FILE, Run, read_run
from cobasim.scores import accuracy_curve
from cobasim_apps import common
from cobasim_apps.common import BIND, chart_or_reason

SAMPLES_FILE = "samples.jsonl"
FRESH = 60.0  # seconds since the last record after which an unfinished run counts as stopped
MOST_RUNS, MOST_OPEN = 2000, 12
CURVES = {
    "learner.reward": ("Mean reward of the rollouts", "reward"),
    "learner.loss": ("Loss", "loss"),
    "learner.grad_norm": ("Gradient norm", "norm before clipping"),
    "learner.entropy": ("Entropy of the policy", "nats per token"),
    "learner.response_length": ("Response length", "tokens"),
    "learner.log_prob_gap_mean": ("Engine against model, mean log-prob difference", "nats"),
    "effective_ratio": ("Share of mixed groups", "share of the batch"),
    "alpha": ("Alpha of the preference density", "alpha"),
    "failure_rate": ("Failure rate", "share of rollouts, mean over prompts"),
    "budget_max": ("Largest budget", "rollouts"),
    "budget_gini": ("Inequality of budgets", "Gini coefficient"),
}


def page() -> None:
    """Draw the page."""
    st.title("Runs")
    options = common.options()
    folder = options.runs
    if not folder.is_dir():
        st.info(
            f"There is no folder {options.shown} yet. Simulate something and save it, or "
            "start the app on another one:"
        )
        common.command_line(["cobasim", "explore", "--runs", "FOLDER"])
        return
    st.caption(f"Folder: {common.plain(options.shown)}")
    live()


@st.fragment(run_every=2.0)
def live() -> None:
    """The table and the open runs, read anew every two seconds while one is being written."""
    options = common.options()
    found = {name: _described(str(path), _stamp(path)) for name, path in folders(options.runs)}
    if not found:
        st.info("No runs here yet.")
        return
    rows = [{"run": name, "state": state(row), **row} for name, row in found.items()]
    hidden = {"written", "of"} | (set() if any(row["problem"] for row in rows) else {"problem"})
    st.dataframe(
        [{key: value for key, value in row.items() if key not in hidden} for row in rows],
        hide_index=True,
        key="all",
        height=min(38 + 35 * len(rows), 300),
    )
    good = [row["run"] for row in rows if not row["problem"]]
    first = []
    if options.run is not None and options.run.is_relative_to(options.runs):
        name = str(options.run.relative_to(options.runs)) if options.run != options.runs else "."
        first = [name] if name in good else []
    chosen = st.multiselect(
        "Open", good, default=first, key="open", bind=BIND, max_selections=MOST_OPEN
    )
    for row in rows:
        if row["problem"]:
            st.warning(f"{common.plain(row['run'])}: {common.plain(row['problem'])}")
    if not chosen:
        st.info("Choose one run, or several to lay over each other.")
        return
    runs = {name: _read(str(options.runs / name), _stamp(options.runs / name)) for name in chosen}
    _draw(runs)


def folders(top: Path) -> list[tuple[str, Path]]:
    """(name, path) of everything below ``top`` that is a run, or looks like one."""
    found = []
    for root, below, files in os.walk(top):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if HEADER_FILE in files or STEPS_FILE in files:
            path = Path(root)
            found.append((str(path.relative_to(top)), path))
            below.clear()
    return sorted(found)[:MOST_RUNS]


def _stamp(path: Path) -> tuple[float, int]:
    try:
        status = (path / STEPS_FILE).stat()
        return status.st_mtime, status.st_size
    except OSError:
        return 0.0, 0


@st.cache_data(max_entries=256, show_spinner=False)
def _read(path: str, stamp: tuple[float, int]) -> Run:
    del stamp  # part of the key: a run that has grown is read anew
    return read_run(path)


@st.cache_data(max_entries=4 * MOST_RUNS, show_spinner=False)
def _described(path: str, stamp: tuple[float, int]) -> dict[str, Any]:
    """One row of the table; a folder that cannot be read has a ``problem``."""
    row: dict[str, Any] = {"problem": "", "written": stamp[0], "of": None}
    try:
        run = read_run(path)
    except (InputError, OSError) as error:
        text = str(error).replace(path + os.sep, "").replace(path, "folder")
        return row | {"problem": " ".join(text.split())[:300]}
    head = run.header
    loop = head.config.get("loop", {}) if isinstance(head.config, dict) else {}
    _, accuracy = accuracy_curve(run)
    return {
        "source": head.source,
        "allocator": head.allocator,
        "weighting": head.weighting,
        "seed": head.seed,
        "world or model": head.world,
        "steps": run.steps[-1].step if run.steps else 0,
        "held-out (%)": round(100 * float(accuracy[-1]), 2) if accuracy.size else None,
        **row,
        "of": loop.get("steps") if isinstance(loop, dict) else None,
    }


def state(row: dict[str, Any]) -> str:
    """What a run is doing, by its last record: finished, being written, or stopped."""
    if row["problem"]:
        return "cannot be read"
    if row["of"] and row["steps"] >= row["of"]:
        return "finished"
    return "being written" if time.time() - row["written"] < FRESH else "stopped"


def _draw(runs: dict[str, Run]) -> None:
    short = _short(runs)
    chart_or_reason(
        lambda: figures.run_curves(
            short, "evaluation.heldout", against="rollouts", scale=100,
            title="Held-out accuracy", axis="held-out accuracy (%)",
        ),
        "heldout",
    )  # fmt: skip
    present = [name for name in CURVES if any(_has(run, name) for run in runs.values())]
    for pair in _pairs(present):
        for place, name in zip(st.columns(2), pair, strict=False):
            title, axis = CURVES[name]
            with place:
                chart_or_reason(
                    lambda name=name, title=title, axis=axis: figures.run_curves(  # type: ignore[misc]
                        short, name, title=title, axis=axis
                    ),
                    name,
                )
    name = st.selectbox("One run in detail", list(runs), key="detail")
    run = runs[name]
    one, two = st.columns(2)
    with one:
        chart_or_reason(lambda: figures.budget_heatmap([run], run.header.allocator), "heat")
        if run.header.source == "train":
            chart_or_reason(lambda: figures.phase_seconds(run), "phases")
    with two:
        chart_or_reason(lambda: figures.budgets_by_pass_rate([run]), "bins")
        if run.header.source == "sim":
            chart_or_reason(lambda: figures.transition_matrices([run]), "transitions")
    _samples(Path(run.path) if run.path else None)
    with st.expander("Settings and versions"):
        st.json({"config": run.header.config, "versions": run.header.versions}, expanded=1)


def _pairs(names: list[str]) -> list[list[str]]:
    return [names[at : at + 2] for at in range(0, len(names), 2)]


def _has(run: Run, column: str) -> bool:
    kind, _, name = column.partition(".")
    if kind == "learner":
        return any(name in step.learner for step in run.steps[-50:])
    return any(getattr(step, column) is not None for step in run.steps[-50:])


def _short(runs: dict[str, Run]) -> dict[str, Run]:
    """Shorter names: without the folders that all have in common."""
    if len(runs) == 1:
        return {Path(name).name if name != "." else "run": run for name, run in runs.items()}
    parent = os.path.commonpath(list(runs))
    return {os.path.relpath(name, parent) if parent else name: run for name, run in runs.items()}


def _samples(path: Path | None) -> None:
    """The last recorded rollouts, as plain text."""
    file = None if path is None else path / SAMPLES_FILE
    if file is None or not file.exists():
        return
    with file.open("rb") as handle:
        handle.seek(max(file.stat().st_size - 200_000, 0))
        lines = handle.read().splitlines()[-60:]
    samples = []
    for line in lines:
        try:
            sample = json.loads(line)
        except ValueError:  # the first is cut, or the last is being written
            continue
        if isinstance(sample, dict):
            samples.append({str(key): _cut(value) for key, value in sample.items()})
    if samples:
        with st.expander(f"The last {len(samples)} recorded rollouts"):
            st.dataframe(samples[::-1], hide_index=True, key="samples")


def _cut(value: Any) -> Any:
    return value if isinstance(value, (int, float)) else str(value)[:2000]
