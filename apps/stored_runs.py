"""Runs as pages read them: once, until they grow."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cobasim.explorer import written
from cobasim.records import Run, read_run


def stored_run(path: Path) -> Run:
    """The run of a folder. Raises as ``read_run`` does."""
    return _read(str(path), written(path))


@st.cache_data(max_entries=256, show_spinner=False)
def _read(path: str, stamp: tuple[float, int]) -> Run:
    del stamp  # part of the cache's key: a run that has grown is read again
    return read_run(path)
