"""What would it do to one batch? Several allocators, one batch of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from cobasim.allocation import Limits, find_allocator
from cobasim.explorer import SHOWN, budgets_csv
from cobasim.figures import class_shares, marginal_gains, preferences, prompt_budgets
from cobasim.whatif import Outcome, outcome_table, what_if
from cobasim_apps.allocators import allocator_help, parameter_sliders
from cobasim_apps.batch_source import Batch, batch_source
from cobasim_apps.elements import BIND, chart, folded, plain, settings_fold, shown_errors
from cobasim_apps.options import allocator_names

MOST_ROLLOUTS = 524_288
EXPLANATION = """
Every prompt of the batch has an estimated pass rate, and all allocators spend the same number of
rollouts. Here is **who gets them**. A prompt that always passes or always fails teaches nothing, so
allocators take rollouts from the ends; they differ in where they put them.
"""
READING = (
    "sum, min, max: of the budgets, in rollouts. at low, at high: prompts at a bound. mixed: "
    "expected share of mixed groups. update: expected std-normalised GRPO step along the prompts' "
    "own gradients, in 0.001 logits, with the loss weighted per rollout or per prompt. mixed and "
    "update take the estimates for the truth. alpha: first shape of the preference density, where "
    "there is one. time: best of three."
)


@dataclass(frozen=True)
class _Choice:
    """Which allocators spend how much."""

    names: list[str]
    limits: Limits
    parameters: Mapping[str, Any]


def page() -> None:
    """Draw the page."""
    st.title("What would it do to one batch?")
    st.markdown(EXPLANATION)
    picture = st.container()
    with settings_fold("Settings: the batch, the allocators, their bounds"):
        left, right = st.columns([1, 2], gap="medium")
        with left:
            batch = batch_source()
        with right:
            choice = None if batch is None else _choice(batch.observation.pass_rate.size)
    below = st.container()
    if batch is None or choice is None:
        return
    with picture, shown_errors():
        outcomes = _picture(batch, choice)
        with below:
            _reasons(batch, choice.limits.for_batch(batch.observation.pass_rate.size), outcomes)


def _choice(size: int) -> _Choice | None:
    """The allocators and limits for a batch of so many prompts; None where there are none."""
    offered = allocator_names(one_batch=True)
    names = st.multiselect(
        "Allocators",
        offered,
        default=[name for name in SHOWN if name in offered],
        key="allocators",
        bind=BIND,
        help=allocator_help(),
    )
    limits = None
    with shown_errors():
        limits = _limits(size)
    parameters = parameter_sliders(names, prefix="batch")
    if not names:
        st.info("Choose at least one allocator.")
    return None if limits is None or not names else _Choice(names, limits, parameters)


def _picture(batch: Batch, choice: _Choice) -> list[Outcome]:
    """Draw who gets the rollouts; what each chosen allocator does with the batch."""
    obs, names = batch.observation, _usable(batch, choice.names)
    outcomes = what_if(
        obs, choice.limits, names, choice.parameters, attempts_known=batch.attempts_known
    )
    if not outcomes:
        return []
    left, right = st.columns(2)
    with left:
        chart(class_shares(outcomes, obs), "shares")
    with right:
        chart(prompt_budgets(outcomes, obs), "budgets")
    return outcomes


def _usable(batch: Batch, names: list[str]) -> list[str]:
    """Those that need no attempts where they are not known; says which are left out."""
    if batch.attempts_known:
        return names
    usable = [name for name in names if "evidence" not in find_allocator(name).needs]
    if len(usable) < len(names):
        out = ", ".join(name for name in names if name not in usable)
        st.caption(f"Left out, since this run does not record the attempts: {plain(out)}.")
    return usable


def _reasons(batch: Batch, limits: Limits, outcomes: list[Outcome]) -> None:
    """Preferences, gains and numbers, for those who open them."""
    obs = batch.observation
    if not outcomes:
        return
    why = folded("Why: what each allocator prefers, and what one more rollout would gain", "why")
    if why.open:
        with why:
            chart(preferences(outcomes, limits.total / obs.pass_rate.size), "preferences")
            valued = [outcome for outcome in outcomes if outcome.value is not None]
            if valued:
                _gains(valued, limits)
    numbers = folded("The numbers", "numbers")
    if numbers.open:
        with numbers:
            st.dataframe(outcome_table(outcomes), hide_index=True, key="summary")
            st.caption(READING)
            st.download_button(
                "Download budgets (CSV)", partial(budgets_csv, obs, outcomes), "budgets.csv",
                "text/csv", on_click="ignore",
            )  # fmt: skip


def _limits(size: int) -> Limits:
    """Total and bounds. Raises InputError where they exclude each other."""
    left, middle, right = st.columns(3)
    with left:
        total = st.number_input(
            "Total budget (rollouts)", 1, MOST_ROLLOUTS, 16 * size, key=f"total_{size}", bind=BIND
        )
    with middle:
        low = st.number_input("Min rollouts per prompt", 0, 1024, 2, key="low", bind=BIND)
    with right:
        high = st.number_input("Max rollouts per prompt", 1, 2048, 128, key="high", bind=BIND)
    return Limits(int(total), int(low), int(high))


def _gains(valued: list[Outcome], limits: Limits) -> None:
    left, right = st.columns([1, 2])
    with left:
        names = [outcome.allocator for outcome in valued]
        name = st.selectbox(
            "Show marginal gains of", names, index=len(names) - 1, key="gains", bind=BIND
        )
    with right:
        rates = st.multiselect(
            "For prompts with pass rates near",
            [round(0.05 * k, 2) for k in range(1, 20)],
            default=[0.1, 0.3, 0.5, 0.7, 0.9],
            max_selections=6,
            select_all=False,
            key="rates",
            bind=BIND,
        )
    if rates:
        outcome = next(outcome for outcome in valued if outcome.allocator == name)
        chart(marginal_gains(outcome, limits, rates), "marginal")
