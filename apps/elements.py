"""What every page draws with: messages, charts, commands to copy."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import plotly.graph_objects as go
import streamlit as st
from streamlit.elements.lib.mutable_expander_container import ExpanderContainer

from cobasim.errors import InputError
from cobasim.figures import full_title

BIND = "query-params"
"""A widget with ``bind=BIND`` keeps its value in the address, so that a view can be shared."""

PAGES = "pages"
"""In the session's state: the pages of the app, by the last part of their address."""

ICON = (  # four bars: nothing is fetched from other hosts
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="#d55e00">'
    '<path d="M1 10h3v5H1zM5 6h3v9H5zM9 1h3v14H9zM13 8h2v7h-2z"/></g></svg>'
)

CHART = {
    "displaylogo": False,
    "modeBarButtons": [["toImage", "resetScale2d"]],
    "toImageButtonOptions": {"format": "svg"},
}
"""Two buttons: the rest is done with the mouse in the chart."""


def style() -> None:
    """Less empty space at the top of a page; the text of charts in the colour of the page's."""
    st.html(
        "<style>.block-container {padding-top: 3.2rem; padding-bottom: 3rem;} "
        "h1 {font-size: 1.8rem !important; padding-bottom: 0.2rem !important;} "
        '.main-svg .infolayer text, .main-svg [class*="axislayer"] text '
        "{fill: currentColor !important;} "
        ".main-svg .legendtoggle {fill: transparent !important;}</style>"
    )


@contextmanager
def shown_errors() -> Iterator[None]:
    """Turn an expected error into a message on the page; the rest stays usable."""
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
    """Draw a figure with its own colours, which read on light and on dark, named by its title."""
    st.plotly_chart(figure, key=key, theme=None, config=CHART, alt=full_title(figure))


def chart_or_reason(draw: Callable[[], go.Figure], key: str) -> None:
    """Draw a figure, or say why there is none yet."""
    try:
        figure = draw()
    except InputError as error:
        st.caption(plain(str(error)))
        return
    chart(figure, key)


def folded(label: str, key: str, *, expanded: bool = False) -> ExpanderContainer:
    """A closed part of a page, whose state is in the address; fill it only where it is ``open``.

    What is closed costs neither time nor the browser's code for its widgets.
    """
    return st.expander(label, expanded, key=key, on_change="rerun", bind=BIND)


def settings_fold(label: str, *, expanded: bool = False) -> ExpanderContainer:
    """The settings of a page, closed at first; whether they are open is in the address.

    Fill it also where it is closed: the page depends on what its widgets say.
    """
    return folded(label, "settings", expanded=expanded)


def command_line(arguments: list[str]) -> None:
    """A ``cobasim`` command, ready to copy."""
    st.code(shlex.join(["cobasim", *arguments]), language="bash", wrap_lines=True)
