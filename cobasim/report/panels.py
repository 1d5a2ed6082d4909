"""The figures of a comparison, each with a heading and what to look for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import plotly.graph_objects as go
from markupsafe import Markup

from cobasim.errors import InputError
from cobasim.figures import (
    accuracy,
    alpha_over_time,
    budgets_by_pass_rate,
    difference_to_baseline,
    final_differences,
    mixed_share,
    share_scales,
    transition_matrices,
)
from cobasim.records import Run
from cobasim.report.page import draw
from cobasim.scores import Row


@dataclass(frozen=True)
class Panel:
    """Drawn figures of one kind, by name, under a common heading."""

    head: str
    caption: str
    drawn: list[tuple[str, Markup]]
    wide: bool = False


@dataclass(frozen=True)
class _Kind:
    """One kind of figure, drawn for the runs of one weighting and the baseline's name.

    ``{baseline}`` in the texts stands for that name.
    """

    head: str
    caption: str
    draw: Callable[[Sequence[Run], str], go.Figure]
    wide: bool = False


_KINDS: Final = (
    _Kind(
        "Difference to {baseline} along the way",
        "Accuracy minus {baseline}’s of the same seed at equal rollouts. A band that stays clear "
        "of the zero line shows a significant difference, because pairing removes what the "
        "seeds share.",
        difference_to_baseline,
    ),
    _Kind(
        "Held-out accuracy",
        "Mean over seeds with 95 % bands. Points above each other cost the same number of "
        "rollouts. Bands can overlap even where paired differences are clear, so judge by the "
        "figure above.",
        lambda runs, _: accuracy(runs),
    ),
    _Kind(
        "Hard-set accuracy",
        "The same for the harder held-out prompts. Check whether gains on average come at the "
        "expense of the hard prompts.",
        lambda runs, _: accuracy(runs, "hard"),
    ),
    _Kind(
        "Mixed groups",
        "Share of groups with at least one pass and one failure; all others have no gradient. "
        "Compare with accuracy: more mixed groups are not always better.",
        lambda runs, _: mixed_share(runs),
    ),
    _Kind(
        "Alpha over time",
        "The first shape of the preference density. A high alpha sends rollouts to nearly solved "
        "prompts (exploit), a low alpha to hard ones (explore). Fixed shapes are flat lines.",
        lambda runs, _: alpha_over_time(runs),
    ),
    _Kind(
        "Budgets by estimated pass rate",
        "Where the rollouts went early, in the middle and late. The peak shows which difficulty "
        "an allocator prefers; the ends show what it leaves for prompts that it takes to be "
        "solved or hopeless.",
        lambda runs, _: budgets_by_pass_rate(runs),
        wide=True,
    ),
    _Kind(
        "Difficulty classes, first to last",
        "Of the training prompts that began in a class (row), the share that ended in each class "
        "(column), in %. Right of the diagonal: learned; left of it: forgotten.",
        lambda runs, _: transition_matrices(runs),
        wide=True,
    ),
)


def comparison_panels(
    runs: Sequence[Run], rows: Sequence[Row], weightings: Sequence[str]
) -> list[Panel]:
    """Draw every figure that the runs have data for, weightings side by side."""
    baseline = next((row.allocator for row in rows if row.baseline), "baseline")
    panels = []
    if any(row.heldout_difference is not None for row in rows):
        panels.append(
            Panel(
                f"Final difference to {baseline}",
                "Final held-out accuracy minus the baseline’s, with 95 % intervals paired by "
                "seed. An interval that includes zero shows no significant difference. Open "
                "markers are oracles.",
                [("", Markup(draw(final_differences(rows))))],
            )
        )
    for kind in _KINDS:
        figures: dict[str, go.Figure] = {}
        for weighting in weightings:
            chosen = [run for run in runs if run.header.weighting == weighting]
            try:
                figures[f"weighted per {weighting}"] = kind.draw(chosen, baseline)
            except InputError:  # nothing of this kind was measured
                continue
        share_scales(list(figures.values()))
        drawn = [(name, Markup(draw(figure))) for name, figure in figures.items()]
        if drawn:
            head, caption = (text.format(baseline=baseline) for text in (kind.head, kind.caption))
            panels.append(Panel(head, caption, drawn, kind.wide))
    return panels
