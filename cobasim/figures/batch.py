"""What allocators do with one batch: budgets, preferences, marginal gains and expected pulls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim.allocation import Limits, Observation, ValueFunction
from cobasim.allocation.solving import log_beta_density
from cobasim.arrays import FloatArray, IntArray
from cobasim.difficulty import DIFFICULTY_CLASSES, difficulty_class
from cobasim.figures.style import (
    AXIS,
    DASHES,
    SHADES,
    colour_of,
    faint,
    label,
    lay_out,
    marker_of,
)
from cobasim.updates import expected_group_update, group_update, group_weights
from cobasim.whatif import Outcome

_POINTS = 400


def prompt_budgets(outcomes: Sequence[Outcome], obs: Observation) -> go.Figure:
    """Draw the rollouts of each prompt by estimated pass rate (Figure 4 of arXiv 2602.03048).

    Prompts with equal rates and budgets are one point, whose area grows with their number.
    """
    figure = go.Figure()
    for outcome in outcomes:
        pairs, count = np.unique(
            np.stack([obs.pass_rate, outcome.budgets]), axis=1, return_counts=True
        )
        name = label(outcome.allocator)
        figure.add_trace(
            go.Scatter(
                x=pairs[0],
                y=pairs[1],
                customdata=count,
                name=name,
                mode="markers",
                marker={
                    "color": faint(colour_of(outcome.allocator), 0.75),
                    "symbol": marker_of(outcome.allocator),
                    "size": np.minimum(4 + 2 * np.sqrt(count), 22),
                },
                hovertemplate=(
                    f"<b>{name}</b><br>pass rate %{{x:.3f}}: %{{y:.0f}} rollouts<br>"
                    "%{customdata} prompts<extra></extra>"
                ),
            )
        )
    figure.update_xaxes(title="estimated pass rate", range=[-0.03, 1.03])
    powers = [2**power for power in range(14)]
    figure.update_yaxes(
        title="rollouts (log scale)", type="log", tickvals=powers, ticktext=[str(p) for p in powers]
    )
    return lay_out(figure, "Budget of each prompt", height=430)


def class_shares(outcomes: Sequence[Outcome], obs: Observation) -> go.Figure:
    """Draw each difficulty class's share of the budget, next to its share of the prompts."""
    size = len(DIFFICULTY_CLASSES)
    names = [text.replace(" ", "<br>") for text in DIFFICULTY_CLASSES]
    prompts = np.bincount(difficulty_class(obs.pass_rate), minlength=size) / obs.pass_rate.size
    figure = go.Figure(
        go.Scatter(
            x=names,
            y=100 * prompts,
            name="share of the prompts",
            mode="markers",
            marker={"symbol": "line-ew-open", "size": 34, "color": AXIS, "line": {"width": 3}},
            hovertemplate="%{x}: %{y:.1f} % of the prompts<extra></extra>",
        )
    )
    for outcome in outcomes:
        name = label(outcome.allocator)
        figure.add_trace(
            go.Bar(
                x=names,
                y=100 * outcome.class_share,
                name=name,
                marker={"color": colour_of(outcome.allocator)},
                hovertemplate=(
                    f"<b>{name}</b><br>%{{x}}: %{{y:.1f}} % of the rollouts<extra></extra>"
                ),
            )
        )
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_xaxes(title="difficulty class (by estimate)", tickangle=0)
    figure.update_yaxes(title="share of the budget (%)", rangemode="tozero")
    return lay_out(figure, "Who gets the budget", height=430)


def preferences(outcomes: Sequence[Outcome], mean_budget: float) -> go.Figure:
    """Draw preference densities (left) and the value of the mean budget over pass rates (right).

    Values are divided by each allocator's largest, since only ratios within one allocator matter.
    """
    rollouts = max(1, round(mean_budget))
    figure = make_subplots(
        rows=1,
        cols=2,
        subplot_titles=["preference density", f"value of {rollouts} rollouts<br>(largest = 1)"],
        horizontal_spacing=0.09,
    )
    grid = np.linspace(0.0025, 0.9975, _POINTS)
    for outcome in outcomes:
        line = {"color": colour_of(outcome.allocator), "width": 2}
        name = label(outcome.allocator)
        shared: dict[str, Any] = {"name": name, "legendgroup": name, "mode": "lines", "line": line}
        if outcome.shape is not None:
            alpha, beta = outcome.shape
            figure.add_trace(
                go.Scatter(
                    x=grid,
                    y=np.exp(log_beta_density(grid, alpha, beta)),
                    showlegend=outcome.value is None,
                    hovertemplate=(
                        f"<b>{name}</b>: Beta({alpha:.2f}, {beta:.2f})<br>at %{{x:.2f}}: %{{y:.2f}}"
                        "<extra></extra>"
                    ),
                    **shared,
                ),
                row=1,
                col=1,
            )
        if outcome.value is not None:
            rates, values = _over_rates(outcome.value, rollouts)
            figure.add_trace(
                go.Scatter(
                    x=rates,
                    y=values,
                    hovertemplate=f"<b>{name}</b><br>at %{{x:.3f}}: %{{y:.3f}}<extra></extra>",
                    **shared,
                ),
                row=1,
                col=2,
            )
    figure.update_xaxes(title="pass rate", range=[0, 1])
    figure.update_yaxes(rangemode="tozero")
    return lay_out(figure, "What is preferred", height=420).update_layout(margin={"t": 84})


def _over_rates(value: ValueFunction, rollouts: int) -> tuple[FloatArray, FloatArray]:
    rates, first = np.unique(value.pass_rate, return_index=True)
    if rates.size > _POINTS:
        chosen = np.linspace(0, rates.size - 1, _POINTS).astype(int)
        rates, first = rates[chosen], first[chosen]
    log_value = value.take(first).log_value(rollouts)
    top = log_value.max()
    return rates, np.exp(log_value - top) if np.isfinite(top) else np.zeros(rates.size)


def marginal_gains(
    outcome: Outcome, limits: Limits, pass_rates: Sequence[float], most: int | None = None
) -> go.Figure:
    """Draw the gain of one more rollout over a prompt's rollouts, and the threshold.

    Args:
        outcome: of an allocator; without a value function the figure says so.
        limits: total and bounds.
        pass_rates: one curve for the prompt nearest to each.
        most: where the rollouts' axis ends; None: a little above the largest budget.

    A prompt's budget ends where its curve crosses the threshold, the smallest gain that was bought.
    """
    figure = go.Figure()
    title = f"Marginal gains, {label(outcome.allocator)}"
    value = outcome.value
    if value is None:
        figure.add_annotation(
            text="this allocator has no value function", showarrow=False, font={"size": 15}
        )
        return lay_out(figure, title, height=400)
    top = most or min(limits.high, max(limits.low + 8, int(1.15 * outcome.budgets.max()) + 4))
    rollouts: IntArray = np.arange(max(limits.low, value.first), top + 1)
    prompts = _nearest(value.pass_rate, pass_rates)
    for number, prompt in enumerate(prompts):
        shade = 0.45 + 0.55 * number / max(prompts.size - 1, 1)
        line = {
            "color": faint(colour_of(outcome.allocator), shade),
            "width": 2.5,
            "dash": DASHES[number % len(DASHES)],
        }
        figure.add_traces(_gain_curve(outcome, value, int(prompt), rollouts, line))
    threshold = outcome.threshold(limits)
    if threshold is not None:
        figure.add_hline(
            y=threshold / np.log(10),
            line={"color": AXIS, "dash": "dash", "width": 2},
            annotation_text="threshold: the smallest gain bought",
            annotation_position="top right",
        )
    figure.update_xaxes(title="rollouts that the prompt has")
    figure.update_yaxes(title="log10 of the gain of one more")
    return lay_out(figure, title, height=400)


def _nearest(known: FloatArray, pass_rates: Sequence[float]) -> IntArray:
    """The prompts nearest to some pass rates, each once, in the order of their own rates."""
    nearest: IntArray = np.unique([int(np.argmin(np.abs(known - rate))) for rate in pass_rates])
    return nearest[np.argsort(known[nearest], kind="stable")]


def _gain_curve(
    outcome: Outcome, value: ValueFunction, prompt: int, rollouts: IntArray, line: dict[str, Any]
) -> list[go.Scatter]:
    """A prompt's log10 gain over rollouts, and a ring where its budget ends."""
    gains = value.log_gain_of(np.full(rollouts.size, prompt), rollouts) / np.log(10)
    rate, budget = value.pass_rate[prompt], int(outcome.budgets[prompt])
    traces = [
        go.Scatter(
            x=rollouts,
            y=np.where(np.isfinite(gains), gains, np.nan),
            name=f"p = {rate:.3f}: {budget} rollouts",
            mode="lines",
            line=line,
            hovertemplate=f"p = {rate:.3f}<br>rollout %{{x}} + 1: 10^%{{y:.2f}}<extra></extra>",
        )
    ]
    if budget >= rollouts[0]:
        bought = float(value.log_gain_of(np.array([prompt]), np.array([budget]))[0])
        traces.append(
            go.Scatter(
                x=[budget],
                y=[bought / np.log(10) if np.isfinite(bought) else None],
                mode="markers",
                marker={
                    "color": colour_of(outcome.allocator),
                    "size": 9,
                    "symbol": "circle-open",
                },
                showlegend=False,
                hoverinfo="skip",
            )
        )
    return traces


def pulls(outcomes: Sequence[Outcome], obs: Observation, weighting: str) -> go.Figure:
    """Draw each prompt's expected pull on the update, w_i E[u_i], times the number of prompts m.

    weighting: "rollout" or "prompt"; see ``cobasim.updates`` for w and u.
    """
    figure = go.Figure()
    order = np.argsort(obs.pass_rate, kind="stable")
    for outcome in outcomes:
        weights = group_weights(outcome.budgets, weighting) * outcome.budgets.size
        pull = weights * expected_group_update(obs.pass_rate, outcome.budgets)
        name = label(outcome.allocator)
        figure.add_trace(
            go.Scatter(
                x=obs.pass_rate[order],
                y=pull[order],
                name=name,
                mode="lines",
                line={"color": colour_of(outcome.allocator), "width": 2},
                hovertemplate=f"<b>{name}</b><br>at p = %{{x:.3f}}: %{{y:.3f}}<extra></extra>",
            )
        )
    figure.update_xaxes(title="pass rate", range=[0, 1])
    figure.update_yaxes(title="weight x expected update (logits)", rangemode="tozero")
    return lay_out(figure, "Expected pull", height=400, subtitle=f"weighted per {weighting}")


def noise_of_a_group(
    shared: Sequence[float], noise: float = 10.0, pass_rate: float = 0.5, most: int = 128
) -> go.Figure:
    """Draw a prompt's gradient noise over its signal, by its rollouts n, on logarithmic axes.

    A rollout's own noise (sd ``noise``) is averaged out; that which the prompt's rollouts share (a
    curve for each sd in ``shared``) is not: sqrt(noise^2 E[s] / n + shared^2 E[u^2]) / E[u], with u
    and s of ``cobasim.updates.group_update``; see docs/signal.md.
    """
    rollouts = np.unique(np.geomspace(2, most, 40).round().astype(np.int64))
    update, square, second = _moments(pass_rate, rollouts)
    figure = go.Figure()
    for number, each in enumerate(shared):
        spread = np.sqrt(noise**2 * square / rollouts + each**2 * second) / update
        name = f"shared {each:g}"
        figure.add_trace(
            go.Scatter(
                x=rollouts,
                y=spread,
                name=name,
                mode="lines",
                line={
                    "color": SHADES[number % len(SHADES)],
                    "width": 2.5,
                    "dash": DASHES[number % len(DASHES)],
                },
                hovertemplate=f"{name}, %{{x}} rollouts: %{{y:.1f}}<extra></extra>",
            )
        )
    ticks = [2**power for power in range(1, 12) if 2**power <= most]
    figure.update_xaxes(title="rollouts of the prompt", type="log", tickvals=ticks, ticktext=ticks)
    figure.update_yaxes(
        title="noise over signal", type="log", tickvals=[5, 10, 20, 50], ticktext=[5, 10, 20, 50]
    )
    return lay_out(
        figure, "What more rollouts average out", 400, subtitle=f"noise of a rollout {noise:g}"
    )


def _moments(pass_rate: float, rollouts: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """E[u], E[s] and E[u^2] of groups of (k,) rollouts, each (k,)."""
    from scipy import stats  # slow to import

    means = []
    for size in rollouts:
        passes = np.arange(size + 1)
        chance = stats.binom.pmf(passes, size, pass_rate)
        u, s = group_update(passes, np.full(size + 1, size))
        means.append((chance @ u, chance @ s, chance @ (u * u)))
    update, square, second = np.array(means).T
    return update, square, second
