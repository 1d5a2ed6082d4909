"""The section on the weighting of the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.experiments.reproduction.agreement import NOISE, STATUS_WORDS
from cobasim.experiments.reproduction.page import cells
from cobasim.experiments.reproduction.plan import Preset
from cobasim.experiments.reproduction.weighting import SIGNALS, known_batch, significant
from cobasim.figures import pulls as pull_figure
from cobasim.report import WEIGHTINGS, draw, escape, grid

_PARTS: Final = {
    "both": "its budgets, its weights: per rollout",
    "budgets only": "every prompt counts alike: per prompt",
    "weights only": "uniform budgets, its weights in the loss",
    "together": "both minus the two alone",
}


def weighting_section(content: Mapping[str, Any]) -> str:
    """Expected updates under both weightings, and gains split into budgets and weights."""
    meanings = "".join(
        f"<li><b>Loss per {escape(name)}</b>: {escape(WEIGHTINGS[name])}</li>"
        for name in cells.weightings(content)
    )
    numbers = content["loss weighting"]
    return (
        '<section id="loss"><h2>The weighting of the loss</h2>'
        f"<ul>{meanings}</ul><p>Public code of such allocators averages over tokens, which is "
        "closest to per rollout.</p><p>The expected update shows why the order reverses with the "
        "weighting. A group’s expected move E[u] of its prompt’s logit hardly grows with its "
        "budget once both outcomes are likely: rollouts beyond that buy little signal and less "
        "noise. In a mean over rollouts, a large budget also multiplies the prompt’s weight w. "
        "Here budgets are set with the true pass rates of the batch; no training is involved.</p>"
        + _pull_table(numbers["pulls"])
        + f"<p>{escape(numbers['words'])}</p>"
        + _pull_figures(content)
        + _gain_table(numbers["decomposition"])
        + "</section>"
    )


def _pull_table(pulls: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"{cells.allocator(row['allocator'])}, per {escape(row['weighting'])}",
            *(cells.interval(row.get(name), digits=3) for name in (*DIFFICULTY_CLASSES, *SIGNALS)),
        ]
        for row in pulls
    ]
    heads = [
        f'{name}<span class="unit">M w E[u], mean of the class</span>'
        for name in DIFFICULTY_CLASSES
    ]
    heads += [f'{name}<span class="unit">uniform = 1</span>' for name in SIGNALS]
    return grid(["allocator, loss", *heads], rows)


def _pull_figures(content: Mapping[str, Any]) -> str:
    obs, outcomes = known_batch(Preset(**content["preset"]))
    drawn = "".join(
        f"<figure><h3>one batch, loss per {escape(weighting)}</h3>"
        f"{draw(pull_figure(outcomes, obs, weighting))}</figure>"
        for weighting in cells.weightings(content)
    )
    return f'<div class="row">{drawn}</div>'


def _gain_table(decomposition: Mapping[str, Any]) -> str:
    rows, words = [], []
    for world, by_allocator in decomposition.items():
        for name, gains in by_allocator.items():
            shown = [
                cells.interval(gains[part], "+") + _against_zero(gains[part]) for part in _PARTS
            ]
            rows.append([f"{escape(world)}, {cells.allocator(name)}", *shown])
            words.append(f"<li>{escape(world)} world: {escape(gains['words'])}</li>")
    heads = [f'{part}<span class="unit">{text}</span>' for part, text in _PARTS.items()]
    return (
        "<h3>Where the gain comes from: rollouts or weights</h3><p>Final held-out accuracy minus "
        "uniform’s, points. To separate weights from budgets, the loss can weight prompts as if "
        "another allocator had spent the rollouts.</p>"
        + grid(["world, allocator", *heads], rows)
        + f"<ul>{''.join(words)}</ul>"
    )


def _against_zero(gain: Mapping[str, Any]) -> str:
    text = STATUS_WORDS[NOISE]
    if significant(gain):
        text = "above zero" if gain["mean"] > 0 else "below zero"
    return f'<span class="unit">{text}</span>'
