"""The upload field for measured pass rates, which keeps its file when the page changes."""

from __future__ import annotations

import streamlit as st

from cobasim.data import COMPRESSED, READERS, MeasuredRates, RateOptions
from cobasim.errors import InputError
from cobasim.explorer import read_upload
from cobasim.settings import validated

MOST_MIB = 20
TYPES = [ending.removeprefix(".") for ending in (*READERS, COMPRESSED)]
NOTATIONS = {"plain": {}, "percent": {"percent": True}, "decimal comma": {"decimal_comma": True}}


def uploaded_pass_rates(key: str) -> MeasuredRates | None:
    """An upload field for measured pass rates; None until there is a file.

    Streamlit forgets a field's file when another page is shown, so the file is kept in the session.
    Raises InputError for a file that is too large or cannot be used.
    """
    kept = f"{key}_file"
    file = st.file_uploader(
        f"Measured pass rates, one row a prompt (at most {MOST_MIB} MB)",
        type=TYPES,
        key=key,
        max_upload_size=MOST_MIB,
    )
    if file is not None:
        if file.size > MOST_MIB * 2**20:
            raise InputError(
                f"{file.name} has {file.size / 2**20:.0f} MB, but at most {MOST_MIB} MB are read; "
                "give one row per prompt with only the columns that are needed"
            )
        st.session_state[kept] = (file.name, file.getvalue())
    if kept not in st.session_state:
        return None
    name, content = st.session_state[kept]
    if file is None:
        st.caption(f"Using {name}, uploaded before.")
        if st.button("Remove the file", key=f"{key}_remove"):
            del st.session_state[kept]
            st.rerun()
    measured = _parsed(name, content, _reading(key))
    st.caption(measured.summary)
    return measured


def _reading(key: str) -> RateOptions:
    """How the file is read, as the widgets say."""
    with st.expander("Columns of the file"):
        column = st.text_input(
            "Column of pass rates", key=f"{key}_column", placeholder="pass_rate",
            help="Dots for nested columns. Fractions such as 5/8 are read too.",
        )  # fmt: skip
        attempts = st.text_input(
            "Attempts: column, or one number", key=f"{key}_attempts", placeholder="rollouts",
            help="Rollouts behind each pass rate.",
        )  # fmt: skip
        notation = st.selectbox("Notation", list(NOTATIONS), key=f"{key}_notation")
        skip = st.toggle("Leave out rows without a value", key=f"{key}_skip")
    return validated(
        RateOptions,
        {
            "column": column.strip() or None,
            "attempts": attempts.strip() or None,
            "missing": "skip" if skip else "error",
            **NOTATIONS[notation],
        },
    )


@st.cache_data(max_entries=8, show_spinner=False)
def _parsed(name: str, content: bytes, reading: RateOptions) -> MeasuredRates:
    return read_upload(name, content, reading)
