"""The answer as one page to send to a colleague, and its picture."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from cobasim.errors import InputError
from cobasim.experiments import frame
from cobasim.experiments.advice.advice import Advice
from cobasim.experiments.advice.known_runs import LEVEL
from cobasim.experiments.advice.words import TRAINERS, lines, snippet
from cobasim.figures import AXIS, colour_of, label, lay_out
from cobasim.report import drawing, escape, grid

NAME = "advice"


def figure(advice: Advice) -> go.Figure:
    """Expected difference to uniform by allocator, with intervals and a line at zero."""
    drawn = go.Figure()
    for option in advice.options:
        colour = colour_of(option.allocator)
        drawn.add_scatter(
            x=[option.mean],
            y=[label(option.allocator)],
            mode="markers",
            marker={"color": colour, "size": 13 if option.allocator == advice.recommended else 10},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [option.high - option.mean],
                "arrayminus": [option.mean - option.low],
                "color": colour,
                "thickness": 3,
                "width": 6,
            },
            hovertemplate=(
                f"<b>{label(option.allocator)}</b><br>%{{x:+.2f}} ({option.low:+.2f} to "
                f"{option.high:+.2f}) points<extra></extra>"
            ),
        )
    drawn.add_vline(x=0, line={"color": AXIS, "width": 1.5})
    names = [label(option.allocator) for option in reversed(advice.options)]
    drawn.update_yaxes(categoryorder="array", categoryarray=names)
    drawn.update_xaxes(
        title=f"points minus uniform ({100 * LEVEL:.0f} % intervals)",
        zeroline=False,
    )
    lay_out(
        drawn, f"Held-out accuracy; recommended: {label(advice.recommended)}", 170 + 40 * len(names)
    )
    return drawn.update_layout(showlegend=False)


def check_folder(out: Path) -> None:
    """Raise InputError if a page cannot be written there: a file, or the folder of a run."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; expected a folder to write the page to")
    if (out / "header.json").exists():
        raise InputError(f"{out} is the folder of a run; give another one for the page")


def store(advice: Advice, out: Path, *, command: str) -> list[Path]:
    """Write the page (HTML) and the numbers (JSON) below ``out``; their paths.

    Raises InputError if another process is writing to the folder.
    """
    rows = [
        [
            escape(o.allocator),
            f"{o.mean:+.2f}",
            f"{o.low:+.2f} to {o.high:+.2f}",
            f"{100 * o.hurts:.0f} %",
            "" if o.saved is None else f"{100 * o.saved:+.0f} %",
        ]
        for o in advice.options
    ]
    silent = [[escape(n), f"{k:,}", f"{100 * share:.0f} %"] for n, k, share in advice.silent]
    heads = ["allocator", "points minus uniform", "interval", "chance of a loss", "rollouts saved"]
    parts = [
        drawing(figure(advice)),
        frame.paragraphs(lines(advice)),
        grid(heads, rows),
        grid(["pass rate", "prompts", "groups of one outcome under uniform"], silent),
        *(f"<p>{escape(name)}</p><pre>{escape(snippet(advice, name))}</pre>" for name in TRAINERS),
    ]
    page = frame.Page("Should budgets be uneven here?", parts, advice.to_json()["case"])
    return frame.store(out, NAME, advice.to_json(), page, command=command)
