"""Cells of the page's tables, as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cobasim.experiments.reproduction.agreement import AGREES, DISAGREES, NOISE, STATUS_WORDS
from cobasim.experiments.reproduction.paper import REFERENCE
from cobasim.experiments.reproduction.rows import Combination
from cobasim.figures import STYLES, colour_of
from cobasim.report import ABSENT, escape

_MARKS: Final = {AGREES: ("#009e73", "✓"), DISAGREES: ("#d55e00", "✗"), NOISE: ("#8c8c8c", "·")}
"""Colour (Okabe and Ito) and sign of a status; the word always follows them."""


def combinations(content: Mapping[str, Any]) -> list[Combination]:
    """Every (world, weighting) of a reproduction's numbers."""
    first = next(iter(content["results"].values()))["simulated"]
    return [
        (world, weighting) for world, by_weighting in first.items() for weighting in by_weighting
    ]


def weightings(content: Mapping[str, Any]) -> list[str]:
    """Every weighting of the loss."""
    return list(dict.fromkeys(weighting for _, weighting in combinations(content)))


def head(combination: Combination) -> str:
    """Head of a column."""
    world, weighting = combination
    return f'{escape(world)}<span class="unit">loss per {escape(weighting)}</span>'


def title(combination: Combination) -> str:
    """Heading above a table or figure."""
    world, weighting = combination
    return f"{escape(world)} world, loss weighted per {escape(weighting)}"


def number(value: float | None, digits: int = 2, sign: str = "") -> str:
    """A number; ``sign`` "+" shows it always."""
    return ABSENT if value is None else f"{value:{sign}.{digits}f}".replace("-", "−")


def interval(values: Mapping[str, Any] | None, sign: str = "", digits: int = 2) -> str:
    """A mean with half of its interval."""
    if values is None:
        return ABSENT
    text = number(values["mean"], digits, sign)
    if values["high"] is not None:
        text += f'<span class="pm">± {values["high"] - values["mean"]:.{digits}f}</span>'
    return text


def status(name: str) -> str:
    """The status of a claim, in colour, sign and word."""
    (colour, sign), word = _MARKS[name], escape(STATUS_WORDS[name])
    return f'<span class="unit"><b style="color:{colour}">{sign}</b> {word}</span>'


def judged(claim: Mapping[str, Any]) -> str:
    """The difference that a claim is about, and its status."""
    return interval(claim, "+") + status(claim["status"])


def allocator(name: str) -> str:
    """A name, with a swatch of its colour if it is an allocator's."""
    if name not in STYLES:
        return escape(name)
    return f'<i class="swatch" style="background:{colour_of(name)}"></i>{escape(name)}'


def short_claim(text: str) -> str:
    """A claim on the reference model, without its name."""
    return escape(text.removeprefix(f"{REFERENCE}: "))
