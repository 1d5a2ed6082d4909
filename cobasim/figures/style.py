"""The look of every figure: an allocator's colour, marker and dash; margins, axes and legend.

Each allocator looks the same in every figure.  The colours are Okabe and Ito's, which remain
distinct under colour blindness; an oracle has the colour of its allocator, dashed.  Backgrounds
are transparent and texts are a middle grey, so that figures read well on light and dark pages.
"""

from __future__ import annotations

import hashlib
import html
from typing import Any, Final

import plotly.graph_objects as go

from cobasim.scores import ORACLE_PREFIX, is_oracle

STYLES: Final[dict[str, tuple[str, str]]] = {
    "uniform": ("#8c8c8c", "circle"),
    "knapsack": ("#e69f00", "square"),
    "fixed-exploit": ("#cc79a7", "triangle-down"),
    "fixed-explore": ("#56b4e9", "triangle-up"),
    "fixed": ("#b8a900", "hexagon"),
    "linear-decay": ("#009e73", "diamond"),
    "coba": ("#d55e00", "star"),
    "coba-explore-first": ("#0072b2", "cross"),
    "coba-released": ("#8c6bd1", "x"),
}
"""Colour and marker of each known allocator; black and yellow of the palette are replaced by
grey and a darker yellow, which show on both backgrounds."""

_SPARE_COLOURS: Final = ("#b0724a", "#4b9c9c", "#a34e5c", "#6c8a3c", "#5f7dbb")
_SPARE_MARKERS: Final = ("pentagon", "hourglass", "bowtie", "star-square", "diamond-tall")

TEXT: Final = "#7f8590"
GRID: Final = "rgba(128,128,128,0.22)"
AXIS: Final = "rgba(128,128,128,0.55)"

MAX_ALLOCATORS: Final = 8
"""With more allocators than this, oracles are hidden until clicked in the legend."""

DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
"""Dashes for several lines of the same colour."""


def colour_of(allocator: str) -> str:
    """Return the colour of an allocator; an unknown name gets the same spare one each time."""
    return _style(allocator)[0]


def marker_of(allocator: str) -> str:
    """Return the plotly marker symbol of an allocator."""
    return _style(allocator)[1]


def dash_of(allocator: str) -> str:
    """Return the plotly dash of an allocator's line: dashed for oracles."""
    return "dash" if is_oracle(allocator) else "solid"


def visibility(allocator: str, allocators: int) -> bool | str:
    """Return plotly's ``visible`` for one of several allocators; see MAX_ALLOCATORS."""
    return "legendonly" if is_oracle(allocator) and allocators > MAX_ALLOCATORS else True


def _style(allocator: str) -> tuple[str, str]:
    name = allocator.removeprefix(ORACLE_PREFIX)
    if name in STYLES:
        return STYLES[name]
    number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest())
    spare = len(_SPARE_COLOURS)
    return _SPARE_COLOURS[number % spare], _SPARE_MARKERS[number // spare % len(_SPARE_MARKERS)]


def faint(colour: str, opacity: float) -> str:
    """Return a colour ``#rrggbb`` with an opacity in [0, 1]."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def label(text: str) -> str:
    """Escape a name from outside: plotly reads some HTML in labels."""
    return html.escape(text, quote=False)


def colour_bar(title: str, **more: Any) -> dict[str, Any]:
    """Return the settings of a heatmap's slim colour bar, titled along its side."""
    return {
        "title": {"text": title, "side": "right"},
        "thickness": 12,
        "outlinewidth": 0,
        **more,
    }


def lay_out(figure: go.Figure, title: str, height: int = 460) -> go.Figure:
    """Set the margins, colours, axes and legend that all figures share; returns the figure."""
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left", "xref": "paper", "font": {"size": 16}},
        height=height,
        margin={"l": 64, "r": 16, "t": 56, "b": 56},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT, "size": 13},
        hovermode="closest",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": AXIS, "activecolor": TEXT},
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0, "xanchor": "left"},
    )
    axes = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": AXIS,
        "showline": True,
        "automargin": True,
        "title_font_size": 13,
    }
    figure.update_xaxes(**axes)
    figure.update_yaxes(**axes)
    figure.update_annotations(font_size=14)
    return figure
