"""The results of a sweep: lines, heatmaps, effect sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from cobasim.explorer import rounded
from cobasim.figures import share_scales, sweep_heatmap, sweep_line
from cobasim.runs import PLAN, ROWS, TABLE, read_table
from cobasim.scores import METRICS, effects, rows_with, with_differences
from cobasim_apps.elements import BIND, chart, chart_or_reason

Rows = Sequence[Mapping[str, Any]]


@st.cache_data(max_entries=16, show_spinner=False)
def _read(folder: str, written: float) -> tuple[list[str], list[dict[str, Any]]]:
    del written  # part of the cache's key: a table that has changed is read again
    names, rows = read_table(Path(folder))
    return names, with_differences(rows)


def sweep_results(folder: Path) -> None:
    """A finished or interrupted sweep."""
    names, rows = _read(str(folder), (folder / TABLE).stat().st_mtime)
    if not rows:
        st.info("This sweep has no finished runs yet.")
        return
    total = len(list((folder / ROWS).glob("*.json")))
    if total > len(rows):
        st.caption(f"The table has {len(rows)} of {total} stored runs: the sweep is unfinished.")
    metric, parameter, second = _axes(names, rows)
    weightings = list(dict.fromkeys(row["weighting"] for row in rows))
    _lines(rows, weightings, metric, parameter)
    for place, weighting in zip(st.columns(len(weightings)), weightings, strict=True):
        with place:
            if second is not None:
                _heatmaps(rows, weighting, metric, parameter, second)
            st.caption(f"Effect sizes, loss weighted per {weighting}")
            st.dataframe(
                rounded(effects(rows, names, metric, weighting)),
                hide_index=True,
                key=f"effects-{weighting}",
            )
    with st.expander("The plan"):
        st.json(json.loads((folder / PLAN).read_text()), expanded=1)


def _axes(names: list[str], rows: Rows) -> tuple[str, str, str | None]:
    """The metric to show, the parameter to show it over, and the second one of a heatmap."""
    metrics = [name for name in METRICS if any(row.get(name) is not None for row in rows)]
    left, middle, right = st.columns(3)
    with left:
        metric = st.selectbox(
            "Metric", metrics, format_func=lambda name: METRICS[name][0],
            index=metrics.index("minus_uniform") if "minus_uniform" in metrics else 0,
            key="metric", bind=BIND,
        )  # fmt: skip
    with middle:
        parameter = st.selectbox("Setting", names, key="over", bind=BIND)
    with right:
        second = st.selectbox(
            "Second setting (heatmap)",
            ["none", *[name for name in names if name != parameter]],
            index=min(1, len(names) - 1),
            key="against",
            bind=BIND,
        )
    return metric, parameter, None if second == "none" else second


def _lines(rows: Rows, weightings: Sequence[str], metric: str, parameter: str) -> None:
    """One figure of lines per weighting, side by side, with one y-axis."""
    drawn = {
        weighting: sweep_line(rows, parameter, metric, weighting)
        for weighting in weightings
        if rows_with(rows, metric, weighting)
    }
    share_scales(list(drawn.values()))
    for place, weighting in zip(st.columns(len(weightings)), weightings, strict=True):
        with place:
            if weighting in drawn:
                chart(drawn[weighting], f"line-{weighting}")
            else:
                st.caption(f"No run has this metric with the loss weighted per {weighting}.")


def _heatmaps(rows: Rows, weighting: str, metric: str, parameter: str, second: str) -> None:
    """One heatmap per allocator that has the metric."""
    for name in dict.fromkeys(row["allocator"] for row in rows_with(rows, metric, weighting)):
        chart_or_reason(
            lambda name=name: sweep_heatmap(  # type: ignore[misc]
                rows, parameter, second, metric, weighting, name
            ),
            f"heat-{weighting}-{name}",
        )
