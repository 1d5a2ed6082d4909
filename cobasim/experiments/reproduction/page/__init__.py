"""The report of a reproduction: one self-contained HTML page.

In: the numbers (as stored in reproduction.json) and the thinned runs. Out: HTML text. Nothing is
computed here but figures.
"""

from cobasim.experiments.reproduction.page.assembly import reproduction_page

__all__ = ["reproduction_page"]
