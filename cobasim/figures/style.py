"""The look of every figure: an allocator's colour, marker and dash; margins, axes and legend.

Each allocator looks the same in every figure, and no two share a colour or a marker.  The first
colours are Okabe and Ito's, which remain distinct under colour blindness; the others are those
farthest from all before them in CIELAB, of a lightness that shows on white and on black.  An
oracle has the colour of its allocator, dashed.  Backgrounds are transparent.  Text is grey for
white paper; pages give it their own colour (the style sheets of the report and of the app).
"""

from __future__ import annotations

import hashlib
import html
import textwrap
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

from cobasim.arrays import FloatArray
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
    "coba-variance": ("#d8906c", "pentagon"),
    "coba-mixed": ("#9c3030", "hourglass"),
    "coba-update": ("#60540c", "bowtie"),
    "signal": ("#fc0060", "hexagram"),
    "signal-skip": ("#00b400", "diamond-tall"),
    "signal-parts": ("#fc0ce4", "star-diamond"),
    "vip-rloo": ("#5400fc", "triangle-left"),
    "vip-drgrpo": ("#0084fc", "triangle-right"),
    "vip-gp": ("#9c90cc", "triangle-ne"),
    "hit-utility": ("#784854", "triangle-se"),
    "neyman": ("#246c00", "triangle-sw"),
    "duet": ("#90a860", "triangle-nw"),
    "gvm": ("#006060", "octagon"),
    "vigor": ("#fc7884", "hexagon2"),
    "reinforce-ada": ("#0048e4", "star-square"),
    "reinforce-ada-balanced": ("#900cc0", "star-triangle-up"),
    "dapo": ("#fc0018", "star-triangle-down"),
    "greso": ("#78a818", "diamond-wide"),
    "cero": ("#a80084", "arrow"),
    "pods": ("#e46ce4", "arrow-wide"),
}
"""Colour and marker of each known allocator; black and yellow of the palette are replaced by
grey and a darker yellow, which show on both backgrounds."""

_SPARE_COLOURS: Final = ("#a80054", "#3cb454", "#fc3c9c", "#783c78", "#9c6000")
_SPARE_MARKERS: Final = ("circle-dot", "square-dot", "diamond-dot", "hexagon-dot", "pentagon-dot")
"""Of allocators from outside, by a hash of their names."""

TEXT: Final = "#5b626d"
"""Contrast 6.1 : 1 on white; AA wants 4.5."""
TITLE_WIDTH: Final = 46
"""Characters of a title's line: as many as a phone of 390 px shows."""
GRID: Final = "rgba(128,128,128,0.22)"
AXIS: Final = "rgba(128,128,128,0.55)"

MAX_ALLOCATORS: Final = 8
"""With more allocators than this, oracles are hidden until clicked in the legend."""

DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
"""Dashes for several lines of the same colour."""

SHADES: Final = ("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#8c8c8c")
"""Colours of lines that are not allocators."""


def colour_of(allocator: str) -> str:
    """Return the colour of an allocator; an unknown name gets the same spare one each time."""
    return _style(allocator)[0]


def marker_of(allocator: str) -> str:
    """Return the plotly marker symbol of an allocator."""
    return _style(allocator)[1]


def hollow(marker: str) -> str:
    """Return the outline of a plotly marker symbol; a dot inside it stays."""
    plain = marker.removesuffix("-dot")
    return f"{plain}-open" + marker.removeprefix(plain)


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


@cache
def _theme() -> go.layout.Template:
    """What all figures share. As a template, and a small one: figures copy it, updates are slow."""
    axis = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": AXIS,
        "showline": True,
        "automargin": True,
        "title": {"font": {"size": 13}},
    }
    usual = pio.templates["plotly"].layout
    kept = ("annotationdefaults", "colorscale", "colorway", "hoverlabel", "xaxis", "yaxis")
    theme = go.layout.Template(layout={name: usual[name] for name in kept})
    theme.layout.update(
        title={
            "x": 0,
            "xanchor": "left",
            "xref": "container",
            "y": 1,
            "yanchor": "top",
            "yref": "container",
            "font": {"size": 16},
            "subtitle": {"font": {"size": 13, "color": TEXT}},
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT, "size": 13},
        hovermode="closest",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": AXIS, "activecolor": TEXT},
        legend={
            "orientation": "h",
            "y": 0,
            "yanchor": "bottom",
            "yref": "container",
            "x": 0,
            "xanchor": "left",
        },
        xaxis=axis,
        yaxis=axis,
    )
    return theme


def lay_out(figure: go.Figure, title: str, height: int = 460, subtitle: str = "") -> go.Figure:
    """Set the margins, colours, axes and legend that all figures share; returns the figure.

    Long titles get several lines.  The legend stands at the bottom, below the titles of the axes.
    """
    lines = textwrap.wrap(title, TITLE_WIDTH, break_long_words=False)
    # plotly lifts a title by its further lines
    head: dict[str, Any] = {"text": "<br>".join(lines)}
    head["pad"] = {"t": 8 + 20 * (len(lines) - 1), "l": 8}
    if subtitle:
        head["subtitle"] = {"text": subtitle}
    top = 24 + 20 * len(lines) + (16 if subtitle else 0)
    figure.layout.template = _theme()
    figure.update_layout(title=head, height=height, margin={"l": 64, "r": 16, "t": top, "b": 56})
    figure.update_annotations(font_size=14)
    return figure


def full_title(figure: go.Figure) -> str:
    """The title and the subtitle of a figure in one line of text."""
    title = figure.layout.title
    parts = [title.text or "", title.subtitle.text or ""]
    return html.unescape(", ".join(part.replace("<br>", " ") for part in parts if part))


def share_scales(figures: Sequence[go.Figure]) -> None:
    """Give figures of one kind that stand side by side the same range of the y-axis, in place.

    Heatmaps, whose y-axis has categories, get the same colours for the same values.
    """
    axes = [figure.layout.yaxis for figure in figures]
    if len(figures) < 2:
        return
    maps = [trace for figure in figures for trace in figure.data if isinstance(trace, go.Heatmap)]
    if maps:
        _share_colours(maps)
        return
    logarithmic = axes[0].type == "log"
    values = np.concatenate([_heights(figure) for figure in figures])
    values = values[np.isfinite(values) & ((values > 0) | (not logarithmic))]
    if not values.size:
        return
    if logarithmic:
        values = np.log10(values)
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low or 1.0)
    from_zero = axes[0].rangemode == "tozero" and low >= 0
    for figure in figures:
        figure.update_yaxes(range=[0.0 if from_zero else low - margin, high + margin])


def _share_colours(maps: Sequence[go.Heatmap]) -> None:
    """One range of colours, with the bar of the map that reaches highest; fixed ranges stay."""
    free = [trace for trace in maps if trace.zmin is None]
    values = [z[np.isfinite(z)] for z in (np.asarray(trace.z, dtype=float) for trace in free)]
    known = np.concatenate([np.zeros(0), *values])
    if not known.size:
        return
    highest = free[int(np.argmax([z.max(initial=-np.inf) for z in values]))]
    for trace in free:
        trace.update(zmin=known.min(), zmax=known.max(), colorbar=highest.colorbar)


def _heights(figure: go.Figure) -> FloatArray:
    """Every y that a figure of curves draws, ends of intervals and horizontal lines too."""
    found: list[Any] = [np.zeros(0)]
    for trace in figure.data:
        y = np.asarray(trace.y, dtype=np.float64)
        error = getattr(trace, "error_y", None)
        half = 0.0 if error is None or error.array is None else np.asarray(error.array)
        found += [y, y - half, y + half]
    found += [[shape.y0] for shape in figure.layout.shapes if shape.y0 == shape.y1]
    return np.concatenate(found, dtype=np.float64)
