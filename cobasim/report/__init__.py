"""One self-contained page.

In: runs, score tables, verdicts, figures, and HTML of an experiment's own. Out: one HTML file or
its text, which needs no network. Text from outside is escaped.
"""

from cobasim.report.comparison import WEIGHTINGS, write_report
from cobasim.report.page import (
    ABSENT,
    definitions,
    document,
    draw,
    drawing,
    escape,
    grid,
    provenance,
    section,
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
