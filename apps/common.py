"""What the pages share: options of the app, messages, charts, bounds, files that people upload."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from cobasim.allocation import ALLOCATORS, describe_allocators, one_shot
from cobasim.arrays import FloatArray
from cobasim.data import read_pass_rates
from cobasim.errors import InputError

UPLOAD_MIB = 20
UPLOAD_TYPES = ["csv", "json", "parquet", "npy"]
ICON = (  # four bars: nothing is fetched from other hosts
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="#d55e00">'
    '<path d="M1 10h3v5H1zM5 6h3v9H5zM9 1h3v14H9zM13 8h2v7h-2z"/></g></svg>'
)
BIND = "query-params"  # a widget's value lives in the address: a view can be shared


@dataclass(frozen=True)
class Options:
    """What the app was started with."""

    runs: Path  # the folder below which runs are looked for and saved
    shown: str  # as it was given
    run: Path | None = None  # the run to open first
    # import paths of further allocators. Only whoever starts the app may name code to be
    # imported: never an address or a widget
    allocators: tuple[str, ...] = ()


@cache
def _options(arguments: tuple[str, ...]) -> Options:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--run")
    parser.add_argument("--allocator", action="append", default=[])
    known, _ = parser.parse_known_args(list(arguments))
    run = None if known.run is None else Path(known.run).resolve()
    folder = Path(known.runs).resolve()
    if run is not None and not run.is_relative_to(folder):
        folder = run.parent
        return Options(folder, str(Path(known.run).parent), run, tuple(known.allocator))
    return Options(folder, known.runs, run, tuple(known.allocator))


def options() -> Options:
    """The app's own options, after ``--`` on Streamlit's command line."""
    return _options(tuple(sys.argv[1:]))


def style() -> None:
    """Less empty space at the top; tables and code that wrap on a narrow screen."""
    st.html(
        "<style>.block-container {padding-top: 3.2rem; padding-bottom: 3rem;} "
        "h1 {font-size: 1.7rem; padding-bottom: 0.2rem;}</style>"
    )


@contextmanager
def shown_errors() -> Iterator[None]:
    """An expected error becomes a message on the page, the rest of which stays usable."""
    try:
        yield
    except (InputError, OSError) as error:
        st.error(plain(str(error)))


def plain(text: str) -> str:
    """Text in which Streamlit finds no markup."""
    for sign in "\\`*_[]<>$#:~|":
        text = text.replace(sign, "\\" + sign)
    return text


def chart(figure: go.Figure, key: str) -> None:
    """Draw a figure with its own colours, which read on light and on dark."""
    st.plotly_chart(
        figure,
        key=key,
        theme=None,
        config={"displaylogo": False, "toImageButtonOptions": {"format": "svg"}},
    )


def chart_or_reason(draw: Callable[[], go.Figure], key: str) -> None:
    """Draw a figure, or say why there is none yet."""
    try:
        figure = draw()
    except InputError as error:
        st.caption(plain(str(error)))
        return
    chart(figure, key)


def command_line(arguments: list[str]) -> None:
    """A command, ready to copy."""
    st.code(shlex.join(arguments), language="bash", wrap_lines=True)


def allocator_names(*, plain: bool = False) -> list[str]:
    """Registered allocators in the order of the registry, then those the app was started with.

    ``plain``: only those whose budgets follow from an observation alone (``one_shot``).
    """
    given = [name for name in options().allocators if name not in ALLOCATORS]
    names = [*ALLOCATORS, *given]
    return one_shot(names) if plain else names


def allocator_help() -> str:
    """One line an allocator."""
    rows = describe_allocators(allocator_names())
    return "\n".join(f"- **{plain(row['name'])}**: {row['summary']}" for row in rows)


def uploaded_pass_rates(key: str) -> FloatArray | None:
    """An upload field for measured pass rates; None until there is a file.

    Raises InputError for a file that is too large or cannot be used.
    """
    file = st.file_uploader(
        f"Measured pass rates: column pass_rate, or a flat list (at most {UPLOAD_MIB} MB)",
        type=UPLOAD_TYPES,
        key=key,
        max_upload_size=UPLOAD_MIB,
    )
    if file is None:
        return None
    if file.size > UPLOAD_MIB * 2**20:
        raise InputError(
            f"{file.name} has {file.size / 2**20:.0f} MB; at most {UPLOAD_MIB} MB are read. Give "
            "one row a prompt with the column pass_rate only"
        )
    return _parsed(file.name, file.getvalue())


@st.cache_data(max_entries=8, show_spinner=False)
def _parsed(name: str, content: bytes) -> FloatArray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("upload" + Path(name).suffix)
        path.write_bytes(content)
        try:
            return read_pass_rates(str(path))
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from None


def parameters(allocators: list[str], *, prefix: str, columns: int = 3) -> dict[str, Any]:
    """Sliders for the parameters of CoBA's family, shown where an allocator takes them."""
    known = {
        row["name"]: {item["name"]: item for item in row["parameters"]}
        for row in describe_allocators(allocator_names())
    }
    sliders: Mapping[str, tuple[str, float, float, float, float]] = {
        "kappa": ("kappa = alpha + beta", 3.0, 40.0, 11.0, 0.5),
        "gamma": ("gamma, steepness", 0.5, 40.0, 10.0, 0.5),
        "tau": ("tau, saturation scale (rollouts)", 0.5, 64.0, 8.0, 0.5),
    }
    taken = [name for name in sliders if any(name in known.get(a, {}) for a in allocators)]
    values: dict[str, Any] = {}
    if not taken:
        return values
    places = st.columns(columns)
    for number, name in enumerate(taken):
        text, low, high, default, step = sliders[name]
        with places[number % columns]:
            given = st.slider(text, low, high, default, step, key=f"{prefix}_{name}", bind=BIND)
        if given != default:
            values[name] = given
    return values
