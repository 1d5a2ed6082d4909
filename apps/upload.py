"""The upload field for measured pass rates."""

from __future__ import annotations

import streamlit as st

from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.explorer import read_upload

MOST_MIB = 20
TYPES = ["csv", "json", "parquet", "npy"]


def uploaded_pass_rates(key: str) -> FloatArray | None:
    """An upload field for measured pass rates; None until there is a file.

    Raises InputError for a file that is too large or cannot be used.
    """
    file = st.file_uploader(
        f"Measured pass rates: a column pass_rate or a flat list (at most {MOST_MIB} MB)",
        type=TYPES,
        key=key,
        max_upload_size=MOST_MIB,
    )
    if file is None:
        return None
    if file.size > MOST_MIB * 2**20:
        raise InputError(
            f"{file.name} has {file.size / 2**20:.0f} MB, but at most {MOST_MIB} MB are read; give "
            "one row per prompt with only the column pass_rate"
        )
    return _parsed(file.name, file.getvalue())


@st.cache_data(max_entries=8, show_spinner=False)
def _parsed(name: str, content: bytes) -> FloatArray:
    return read_upload(name, content)
