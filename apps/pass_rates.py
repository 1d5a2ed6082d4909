"""Widgets that choose a file of measured pass rates: an example, one of the runs, or an upload."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from cobasim.data import COMPRESSED, READERS, MeasuredRates, RateOptions
from cobasim.explorer import keep_rates, rate_files, read_rates
from cobasim.settings import validated
from cobasim_apps.elements import BIND, plain
from cobasim_apps.job_progress import jobs
from cobasim_apps.options import options
from cobasim_apps.uploads import Files, uploaded

UPLOAD = "Upload a file"
MOST_MIB = 20
TYPES = [ending.removeprefix(".") for ending in (*READERS, COMPRESSED)]
READING = ("upload_column", "upload_attempts", "upload_notation", "upload_skip")
NOTATIONS = {"plain": {}, "percent": {"percent": True}, "decimal comma": {"decimal_comma": True}}


@dataclass(frozen=True)
class RatesFile:
    """A file of measured pass rates, how it is read, and what it says."""

    path: Path
    reading: RateOptions
    measured: MeasuredRates


def pass_rates_file() -> RatesFile | None:
    """The file that the widgets choose, the example at first; None, with a hint, without one.

    Raises InputError for a file that is too large or cannot be used.
    """
    known = rate_files(options().runs)
    chosen = st.selectbox(
        "Measured pass rates", [UPLOAD, *known], index=int(bool(known)),
        key="rates_file", bind=BIND,
        help=f"An upload, an example, or a `pass_rates.csv` in {plain(options().shown)}.",
    )  # fmt: skip
    path = known.get(chosen) or _uploaded()
    if path is None:
        st.info("Upload a file, or choose another source.")
        return None
    reading = _reading()
    measured = _read(str(path), path.stat().st_mtime, reading)
    st.caption(plain(measured.summary))
    return RatesFile(path, reading, measured)


def _uploaded() -> Path | None:
    """The uploaded file; None until there is one."""

    def keep(files: Files) -> Path:
        [(name, content)] = files
        return keep_rates(name, content, jobs().root / "pass_rates")

    return uploaded(
        "One row a prompt", keep, key="upload", types=TYPES, most_mib=MOST_MIB,
        instead="give one row per prompt with only the columns that are needed",
    )  # fmt: skip


def _reading() -> RateOptions:
    """How the file is read, as the widgets say."""
    with st.expander("Columns of the file"):
        column = st.text_input(
            "Column of pass rates", key="upload_column", placeholder="pass_rate", bind=BIND,
            help="Dots for nested columns. Fractions such as 5/8 are read too.",
        )  # fmt: skip
        attempts = st.text_input(
            "Attempts: column, or one number", key="upload_attempts", placeholder="rollouts",
            bind=BIND, help="Rollouts behind each pass rate.",
        )  # fmt: skip
        notation = st.selectbox("Notation", list(NOTATIONS), key="upload_notation", bind=BIND)
        skip = st.toggle("Leave out rows without a value", key="upload_skip", bind=BIND)
    return validated(
        RateOptions,
        {
            "column": column.strip() or None,
            "attempts": attempts.strip() or None,
            "missing": "skip" if skip else "error",
            **NOTATIONS[notation],
        },
    )


def reading_query() -> dict[str, str]:
    """How the file is read, for the address of another page."""
    given = {name: st.session_state.get(name) for name in READING}
    if given["upload_notation"] == "plain":
        del given["upload_notation"]
    return {name: str(value).lower() if value is True else str(value)
            for name, value in given.items() if value}  # fmt: skip


@st.cache_data(max_entries=8, show_spinner=False)
def _read(path: str, written: float, reading: RateOptions) -> MeasuredRates:
    del written  # part of the cache's key: a file that has changed is read again
    return read_rates(Path(path), reading)
