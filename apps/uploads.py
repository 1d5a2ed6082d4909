"""Files from the reader's own machine, kept while other pages are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import streamlit as st

from cobasim.errors import InputError
from cobasim_apps.elements import plain

T = TypeVar("T")

Files = Sequence[tuple[str, bytes]]
"""Names and contents."""


def uploaded(
    label: str,
    keep: Callable[[Files], T],
    *,
    key: str,
    most_mib: int,
    instead: str,
    several: bool = False,
    types: Sequence[str] | None = None,
    help: str | None = None,
) -> T | None:
    """What ``keep`` made of the files that a widget took; None until there are some.

    It is kept in the session when the widget is not drawn, and can then be removed.

    Args:
        label: of the widget; the limit of size is added.
        keep: stores the files where other processes find them.
        key: of the widget, and the start of the other keys.
        most_mib: of all files together.
        instead: what to do with larger ones.
        several: more than one file at a time.
        types: the endings that are taken; None: all.
        help: as Streamlit's widgets have it.

    Raises InputError for files that are too large, and what ``keep`` raises.
    """
    given = st.file_uploader(
        f"{label} (at most {most_mib} MB)", type=types, key=key, help=help,
        accept_multiple_files=several, max_upload_size=most_mib,
    )  # fmt: skip
    files = given if isinstance(given, list) else [file for file in (given,) if file is not None]
    kept = f"{key}_kept"
    if files:
        size = sum(file.size for file in files) / 2**20
        if size > most_mib:
            raise InputError(
                f"{_names([file.name for file in files])}: {size:.0f} MB, but at most {most_mib} "
                f"MB are read; {instead}"
            )
        made = keep([(file.name, file.getvalue()) for file in files])
        st.session_state[kept] = [file.name for file in files], made
        return made
    if kept not in st.session_state:
        return None
    names, made = st.session_state[kept]
    st.caption(f"Using {plain(_names(names))}, uploaded before.")
    if st.button("Remove", key=f"{key}_remove"):
        del st.session_state[kept]
        st.rerun()
    return made


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
