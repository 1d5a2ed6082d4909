"""One self-contained page."""

from cobasim.report.report import (
    ABSENT,
    WEIGHTINGS,
    definitions,
    document,
    draw,
    drawing,
    escape,
    grid,
    provenance,
    section,
    write_report,
)

__all__ = [
    "ABSENT",
    "WEIGHTINGS",
    "definitions",
    "document",
    "draw",
    "drawing",
    "escape",
    "grid",
    "provenance",
    "section",
    "write_report",
]
