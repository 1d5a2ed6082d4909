"""The frame of a page, and its building blocks: sections, tables, drawings, settings.

A page is one file that needs no network: style and plotly.js are inlined, and a content security
policy forbids the page to load anything.  Arguments called HTML are put in as they are; everything
else is escaped.  What these functions return is HTML as a plain ``str``.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import plotly.graph_objects as go
import plotly.io as pio
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from cobasim.figures import full_title

ABSENT: Final = '<span class="absent">–</span>'
"""HTML of a cell whose number was not measured."""


def escape(text: object) -> str:
    """Return text from outside so that it is safe inside HTML."""
    return html.escape(str(text))


def document(title: str, body: str) -> str:
    """Return a whole page around a body (HTML)."""
    return render("page.html", title=title, body=Markup(body))


def section(head: str, caption: str, drawn: Iterable[tuple[str, str]], wide: bool = False) -> str:
    """Return a heading, a caption, and drawn figures with their names; all of them HTML.

    wide: one figure below the other, each scrolling sideways on narrow screens.
    """
    pictures = [(Markup(name), Markup(picture)) for name, picture in drawn]
    return _part("section", Markup(head), Markup(caption), pictures, wide)


def drawing(figure: go.Figure) -> str:
    """Return a section with a figure under its own title, which is HTML already."""
    return section(escape(full_title(figure)), "", [("", draw(figure))])


def draw(figure: go.Figure) -> str:
    """Return a named figure as a div without plotly.js; its title is left to the page."""
    name = full_title(figure)
    title = figure.layout.title
    lines = (title.text or "").count("<br>") + 1
    taken = 20 * lines + (16 if title.subtitle.text else 0)
    untitled = go.Figure(figure)
    untitled.update_layout(title=None, margin={"t": max(figure.layout.margin.t - taken, 16)})
    rendered: str = pio.to_html(
        untitled,
        full_html=False,
        include_plotlyjs=False,
        default_width="100%",
        config={"responsive": True, "displaylogo": False, "modeBarButtonsToRemove": ["lasso2d"]},
    )
    return f'<div role="group" aria-label="{escape(name)}">{rendered}</div>'


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], groups: str = "") -> str:
    """Return a plain table of cells (HTML): the first of each row is its name.

    groups: a row to put above the heads (HTML).
    """
    return _part(
        "grid",
        [Markup(head) for head in heads],
        [[Markup(cell) for cell in row] for row in rows],
        Markup(groups),
    )


def definitions(settings: Mapping[str, Any]) -> str:
    """Return names and values as a list of definitions."""
    return _part("definitions", settings)


def provenance(command: str, settings: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """Return the last section of every page: command, settings and versions."""
    return _part("provenance", command, settings, versions)


def render(template: str, **values: Any) -> str:
    """Return a page from a template that extends ``page.html``; plain text is escaped."""
    return _environment().get_template(template).render(plotly_js=Markup(get_plotlyjs()), **values)


def _part(name: str, *arguments: Any) -> str:
    """Return what a macro of ``parts.html`` makes of its arguments."""
    macro = getattr(_environment().get_template("parts.html").module, name)
    return str(macro(*arguments))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cobasim.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = _shown
    return environment


def _shown(value: Any) -> str:
    """A setting as text."""
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, default=str, ensure_ascii=False)
    return "not set" if value is None else str(value)
